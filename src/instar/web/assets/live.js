// News of a run that goes on: asks now and then, and replaces the sections that changed.
"use strict";
(() => {
  const EVERY = 1500;
  const { state, revision } = document.body.dataset;
  if (!state) return;
  let seen = revision;
  let failures = 0;
  const note = document.getElementById("connection");
  // a section that is replaced between the press and the release of a button would swallow the click
  let pressed = 0;
  addEventListener("pointerdown", () => { pressed = Date.now(); }, true);
  for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, () => { pressed = 0; }, true);
  const released = async () => { while (pressed && Date.now() - pressed < 2 * EVERY) await new Promise((r) => setTimeout(r, 50)); };

  function replaceSections(html) {
    const next = new DOMParser().parseFromString(`<main>${html}</main>`, "text/html");
    const main = document.getElementById("main");
    const focus = document.activeElement && document.activeElement.id;
    const open = new Set([...main.querySelectorAll("details[open][id]")].map((d) => d.id));
    const closed = new Set([...main.querySelectorAll("details:not([open])[id]")].map((d) => d.id));
    for (const fresh of [...next.querySelectorAll("main > section")]) {
      const old = document.getElementById(fresh.id);
      const source = fresh.outerHTML;
      if (old && old.dataset.source === source) continue;
      for (const d of fresh.querySelectorAll("details[id]")) {
        if (open.has(d.id)) d.setAttribute("open", "");
        else if (closed.has(d.id)) d.removeAttribute("open");
      }
      const made = document.importNode(fresh, true);
      made.dataset.source = source;
      if (old) old.replaceWith(made); else main.append(made);
    }
    if (focus && document.activeElement === document.body) { const again = document.getElementById(focus); if (again) again.focus({ preventScroll: true }); }
  }

  async function ask() {
    try {
      const answer = await fetch(`${state}?seen=${encodeURIComponent(seen)}`);
      if (answer.status === 200) {
        const news = await answer.json();
        await released();
        seen = news.revision;
        replaceSections(news.main);
        if (news.data) instarPage.update(news.data);
      } else if (answer.status !== 204) throw new Error(`status ${answer.status}`);
      failures = 0;
      note.hidden = true;
    } catch {
      failures += 1;
      note.hidden = failures < 2;
    }
    setTimeout(ask, document.hidden ? 10 * EVERY : EVERY * Math.min(8, 1 + failures));
  }
  setTimeout(ask, EVERY);
})();
