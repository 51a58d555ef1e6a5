// Light or dark, on every page. Before the first paint: the reader's choice, or what the system prefers; then the button.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("instar-theme"); } catch { /* a file opened from disk may have no storage */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("instar-theme", next); } catch { /* not stored, still switched */ }
    document.dispatchEvent(new Event("theme"));
  });
})();
