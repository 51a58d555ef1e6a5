// Before the first paint: the reader's choice, or what the system prefers.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("instar-theme"); } catch { /* a file opened from disk may have no storage */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
