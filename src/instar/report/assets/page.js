// The page's own script: charts, filters, lineage, light and dark. Everything a model wrote goes into text nodes.
"use strict";
const instarPage = (() => {
  const $ = (id) => document.getElementById(id);
  const PAGE = 40;
  let data = $("data") ? JSON.parse($("data").textContent) : {};

  /** What a text is written in, where another font or voice is wanted for it than the page's. */
  const languageOf = (text) => /[\u3040-\u30ff]/.test(text) ? "ja" : /[\uac00-\ud7af]/.test(text) ? "ko" : /[\u3400-\u9fff]/.test(text) ? "zh" : "";
  /** An element with text or children; never HTML. */
  function el(tag, attributes = {}, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attributes)) if (v !== null && v !== undefined) e.setAttribute(k, v);
    e.append(...children.filter((c) => c !== null && c !== undefined));
    const lang = languageOf(children.filter((c) => typeof c === "string").join(""));
    if (lang && !e.lang) e.lang = lang;
    return e;
  }
  const short = (id) => id.split(":").pop().slice(0, 8);
  const points = (x) => `${x >= 0 ? "+" : ""}${(100 * x).toFixed(1)}`;
  const percent = (x) => `${(100 * x).toFixed(1)}%`;
  const tone = (mark) => (mark === "right" ? "good" : mark === "wrong" || mark === "invalid" ? "bad" : "");

  // --- charts -------------------------------------------------------------------------------------------------------

  // plotly reads a little HTML in labels: an ability's name is a user's text
  const label = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").slice(0, 40);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map(css);

  function draw(id, traces, layout) {
    const place = $(id);
    if (!place || typeof Plotly === "undefined") return;
    const axis = { gridcolor: css("--line"), zerolinecolor: css("--soft"), linecolor: css("--line"), automargin: true, fixedrange: true };
    const base = {
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: css("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 10, r: 18, t: 8, b: 40 }, dragmode: false,
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left" }, ...layout,
    };
    base.xaxis = { ...axis, ...(layout.xaxis || {}) };
    base.yaxis = { ...axis, ...(layout.yaxis || {}) };
    if (base.height) place.style.minHeight = `${base.height}px`; // the room is taken at once: nothing moves away under a click
    Plotly.react(place, traces, base, { displayModeBar: false, responsive: true, scrollZoom: false });
  }

  function drawSealed() {
    const s = data.sealed;
    if (!s) return;
    const abilities = Object.keys(s.abilities);
    const names = [...(abilities.length === 1 ? [] : ["all"]), ...abilities].reverse();
    const of = (n) => (n === "all" ? s : s.abilities[n]);
    const y = names.map(label);
    const lines = { type: "scatter", mode: "lines", x: [], y: [], line: { color: css("--line"), width: 6 }, hoverinfo: "skip", showlegend: false };
    names.forEach((n) => { lines.x.push(100 * of(n).base, 100 * of(n).final, null); lines.y.push(label(n), label(n), null); });
    const before = { type: "scatter", mode: "markers", name: "before", x: names.map((n) => 100 * of(n).base), y,
      marker: { size: 13, color: css("--card"), line: { color: css("--c0"), width: 2.5 } }, hovertemplate: "%{y} before: %{x:.1f}%<extra></extra>" };
    const after = { type: "scatter", mode: "markers", name: "after", x: names.map((n) => 100 * of(n).final), y,
      marker: { size: 13, color: names.map((n) => css(of(n).low > 0 ? "--good" : of(n).high < 0 ? "--bad" : "--even")) },
      error_x: { type: "data", symmetric: false, array: names.map((n) => 100 * (of(n).high - of(n).gain)), arrayminus: names.map((n) => 100 * (of(n).gain - of(n).low)), color: css("--c0"), thickness: 1.6, width: 5 },
      text: names.map((n) => `${points(of(n).gain)} points (${points(of(n).low)} to ${points(of(n).high)}), n = ${of(n).n}`), hovertemplate: "%{y} after: %{x:.1f}%<br>%{text}<extra></extra>" };
    draw("chart-sealed", [lines, before, after], { height: 70 + 46 * names.length, showlegend: false,
      xaxis: { range: [-2, Math.max(104, ...names.map((n) => 100 * (of(n).base + of(n).high) + 2))], ticksuffix: "%", dtick: 20, zeroline: false }, yaxis: { showgrid: false, range: [-0.6, names.length - 0.4] } });
  }

  function drawRounds() {
    const seen = data.rounds.filter((r) => r.gates.length);
    if (!seen.length) return;
    const all = [...new Set(seen.flatMap((r) => r.gates.flatMap((g) => Object.keys(g.gains))))];
    const names = all.length === 2 ? ["all"] : all;
    const colours = palette();
    const traces = names.map((n, i) => {
      const at = seen.flatMap((r) => r.gates.filter((g) => g.gains[n]).map((g) => ({ x: r.round + (i - (names.length - 1) / 2) * 0.12, ...g.gains[n], gain: g.gains[n].gain ?? (g.gains[n].low + g.gains[n].high) / 2, early: g.gains[n].gain === null, ok: g.promoted, round: r.round })));
      const colour = n === "all" ? css("--ink") : colours[(i - 1 + colours.length) % colours.length];
      return { type: "scatter", mode: "markers", name: label(n), x: at.map((a) => a.x), y: at.map((a) => 100 * a.gain),
        marker: { size: n === "all" ? 13 : 10, color: at.map((a) => (a.ok ? colour : css("--card"))), line: { color: colour, width: 2.5 } },
        error_y: { type: "data", symmetric: false, array: at.map((a) => 100 * (a.high - a.gain)), arrayminus: at.map((a) => 100 * (a.gain - a.low)), color: colour, thickness: 1.6, width: 4 },
        text: at.map((a) => `round ${a.round}: ${a.early ? "between " : `${points(a.gain)} points (`}${points(a.low)} ${a.early ? "and" : "to"} ${points(a.high)}${a.early ? " points" : ")"}, ${a.ok ? "promoted" : "refused"}`), hovertemplate: `${label(n)}, %{text}<extra></extra>` };
    });
    draw("chart-rounds", traces, { height: 360, margin: { l: 10, r: 18, t: 34, b: 40 },
      xaxis: { tickvals: seen.map((r) => r.round), ticktext: seen.map((r) => `round ${r.round}`), range: [seen[0].round - 0.6, seen[seen.length - 1].round + 0.6], zeroline: false, showgrid: false },
      yaxis: { title: { text: "gain, points" }, zeroline: true, rangemode: "tozero" } });
  }

  function drawFunnel() {
    const groups = data.answers.groups;
    if (!groups.length) return;
    const rounds = [...new Set(groups.map((g) => g.round))];
    const fates = data.answers.fates.filter((f) => groups.some((g) => g.fate === f));
    const colours = ["--c0", "--c2", "--c3", "--c4", "--c6", "--c5"].map(css);
    const traces = fates.map((f, i) => ({ type: "bar", orientation: "h", name: label(f), y: rounds.map((r) => `round ${r}`),
      x: rounds.map((r) => (groups.find((g) => g.round === r && g.fate === f) || { n: 0 }).n),
      marker: { color: f === "trained on" ? css("--good") : colours[(i - 1 + colours.length) % colours.length], opacity: f === "trained on" ? 1 : 0.6 },
      hovertemplate: `%{y}, ${label(f)}: %{x:,} answers<extra></extra>` }));
    draw("chart-funnel", traces, { barmode: "stack", height: 130 + 44 * rounds.length + (innerWidth < 640 ? 20 * fates.length : 0), margin: { l: 10, r: 18, t: 34, b: 40 }, bargap: 0.35,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left", traceorder: "normal" },
      xaxis: { title: { text: "answers" }, separatethousands: true }, yaxis: { autorange: "reversed", showgrid: false } });
  }

  function drawTime() {
    const all = Object.entries(data.time.seconds).filter(([k, v]) => k !== "wall" && v > 0).sort((a, b) => a[1] - b[1]);
    if (!all.length) return;
    const wall = data.time.seconds.wall;
    draw("chart-time", [{ type: "bar", orientation: "h", y: all.map(([k]) => label(k)), x: all.map(([, v]) => v), marker: { color: css("--c1") },
      text: all.map(([k, v]) => `${v.toFixed(1)} s, ${((100 * v) / wall).toFixed(1)} %${data.time.tokens[k] ? `, ${data.time.tokens[k].toLocaleString("en")} tokens` : ""}`),
      textposition: "auto", cliponaxis: false, hovertemplate: "%{y}: %{text}<extra></extra>" }],
      { height: 60 + 32 * all.length, margin: { l: 10, r: 18, t: 4, b: 40 }, xaxis: { title: { text: "seconds" } }, yaxis: { showgrid: false } });
  }

  // the list of runs and the comparison have no facts of one run, and no charts
  const charts = () => { if (data.answers) { drawSealed(); drawRounds(); drawFunnel(); drawTime(); } };

  // --- rows and their filters ---------------------------------------------------------------------------------------

  const state = { exam: { change: "", ability: "", text: "", shown: PAGE }, answers: { round: "", fate: "", ability: "", mark: "", text: "", shown: PAGE } };
  const mark = (row) => (row.feedback.length ? row.feedback[0].mark : "not judged");
  const has = (row, words, texts) => !words || texts.some((t) => t && String(t).toLowerCase().includes(words.toLowerCase()));

  function options(id, values, all, chosen) {
    const select = $(id);
    if (!select) return;
    const now = el("option", { value: "" }, all);
    select.replaceChildren(now, ...[...new Set(values)].map((v) => el("option", { value: String(v) }, String(v))));
    select.value = chosen;
    if (select.selectedIndex < 0) select.value = "";
  }

  function chips() {
    const place = $("exam-change");
    if (!place) return;
    const counts = new Map([["", data.exam.rows.length]]);
    for (const r of data.exam.rows) counts.set(r.change, (counts.get(r.change) || 0) + 1);
    const order = ["", "newly right", "newly wrong", "both right", "both wrong", "as before"].filter((c) => counts.has(c));
    const had = document.activeElement && place.contains(document.activeElement) ? document.activeElement.dataset.change : null;
    place.replaceChildren(...order.map((c) => el("button", { type: "button", class: "chip", "data-change": c, "aria-pressed": String(state.exam.change === c) }, `${c || "all"} ${counts.get(c).toLocaleString("en")}`)));
    if (had !== null) { const again = [...place.children].find((b) => b.dataset.change === had); if (again) again.focus(); }
  }

  const text = (said) => el("p", {}, said === null ? "(not stored)" : said === "" ? "(nothing)" : said);

  /** What was said: an episode turn by turn with who spoke, else the text. */
  const spoken = (s, plain) => !s.turns ? plain(s.text) : el("ol", { class: "turns" }, ...s.turns.map((t) => el("li", { class: t.kind === "draft" ? "draft" : t.kind === "tool_result" || t.kind === "partner" ? "seen" : "" }, el("b", {}, t.who), plain(t.text))));

  function side(title, s) {
    const many = s.samples > 1 ? ` ${percent(s.score)} of ${s.samples} samples` : "";
    return el("div", { class: `side ${s.mark}` }, el("h4", {}, title, el("span", { class: `tag ${tone(s.mark)}` }, s.mark + many), el("span", { class: "sub" }, s.answer === null ? "no answer could be read" : `answer: ${s.answer}`)), spoken(s, text));
  }

  function examRow(r, i) {
    return el("article", { class: "row" },
      el("header", {}, el("span", { class: `tag ${r.change === "newly right" || r.change === "both right" ? "good" : r.change === "as before" ? "" : "bad"}` }, r.change), el("span", { class: "sub" }, r.ability), r.gold === null ? null : el("span", { class: "sub" }, `right answer: ${r.gold}`),
        el("button", { type: "button", class: "link", "data-exam": i }, "lineage")),
      el("p", { class: "q" }, r.question), el("div", { class: "sides" }, side("Before", r.before), side("After", r.after)));
  }

  function answerRow(r) {
    return el("article", { class: "row" },
      el("header", {}, el("span", { class: `tag ${tone(mark(r))}` }, mark(r)), el("span", { class: `tag ${r.fate === "trained on" ? "good" : r.fate === "trained away from" ? "bad" : ""}` }, r.fate), el("span", { class: "sub" }, `round ${r.round}, ${r.rollout ? `${r.rollout}, ` : ""}${r.ability}`), r.flags.length ? el("span", { class: "tag" }, r.flags.join(", ")) : null,
        el("button", { type: "button", class: "link", "data-answer": r.id }, "lineage")),
      el("p", { class: "q" }, r.question), el("div", { class: `side ${mark(r)}` }, spoken(r, text)));
  }

  function list(name, rows, make) {
    const place = $(`${name}-rows`);
    if (!place) return;
    const shown = rows.slice(0, state[name].shown);
    place.replaceChildren(...shown.map(([r, i]) => make(r, i)));
    $(`${name}-count`).textContent = rows.length ? `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown` : "Nothing fits these filters.";
    $(`${name}-more`).hidden = shown.length === rows.length;
  }

  function showExam() {
    if (!data.exam || !$("exam-rows")) return;
    const f = state.exam;
    chips();
    list("exam", data.exam.rows.map((r, i) => [r, i]).filter(([r]) => (!f.change || r.change === f.change) && (!f.ability || r.ability === f.ability) && has(r, f.text, [r.question, r.before.text, r.after.text, r.gold])), examRow);
  }

  function showAnswers() {
    const f = state.answers;
    list("answers", data.answers.rows.map((r, i) => [r, i]).filter(([r]) => (!f.round || String(r.round) === f.round) && (!f.fate || r.fate === f.fate) && (!f.ability || r.ability === f.ability) && (!f.mark || mark(r) === f.mark) && has(r, f.text, [r.question, r.text, r.gold])), answerRow);
  }

  function tools() {
    if (data.exam) options("exam-ability", data.exam.rows.map((r) => r.ability).sort(), "all", state.exam.ability);
    const rows = data.answers.rows;
    options("answers-round", rows.map((r) => r.round).sort((a, b) => a - b), "all", state.answers.round);
    options("answers-fate", data.answers.fates.filter((f) => rows.some((r) => r.fate === f)), "all", state.answers.fate);
    options("answers-ability", rows.map((r) => r.ability).sort(), "all", state.answers.ability);
    options("answers-mark", rows.map(mark).sort(), "all", state.answers.mark);
    for (const name of ["exam", "answers"]) if ($(`${name}-text`)) $(`${name}-text`).value = state[name].text;
  }

  // --- lineage ------------------------------------------------------------------------------------------------------

  const step = (title, kind, ...children) => el("li", { class: kind }, el("h3", {}, title), ...children);
  const line = (said) => el("p", {}, said);
  const quote = (said) => el("p", { class: "said", tabindex: "0" }, said === null || said === "" ? "(nothing)" : said);
  const idLine = (id) => el("p", { class: "id" }, id);
  const asked = (id, what) => (id ? el("button", { type: "button", class: "link", "data-asked": id }, what) : null);

  /** What a policy was made from and what came of it, back to the base. */
  function chain(id) {
    const out = [];
    for (let p = data.policies.find((x) => x.id === id); p && out.length < 50; p = data.policies.find((x) => x.id === p.parent)) {
      const said = p.round ? `Made by ${p.made_by} in round ${p.round} from ${p.made_from}${p.parent ? `, on top of policy ${short(p.parent)}` : ""}.` : `${p.roles.includes("judge") ? "Judges in this run" : "Where the run began"}: ${p.weights}.`;
      const gate = p.promoted === null ? null : line(`${p.promoted ? "Promoted" : "Refused"} at the gate: ${p.reason}`);
      const scores = p.scores.length ? line(p.scores.map((s) => `${s.suite} exam ${percent(s.value)} (n = ${s.n})`).join("; ")) : null;
      out.push(step(`Policy ${short(p.id)}${p.roles.length ? `, ${p.roles.join(", ")}` : ""}`, p.promoted === false ? "bad" : "good", line(said), gate, scores));
    }
    return out;
  }

  // the words of a note stand in what was asked; here is which notes were recalled
  const recalled = (ids) => (ids.length ? line(`Recalled for it: ${ids.length === 1 ? "the note" : `${ids.length} notes, the first`} ${short(ids[0])}${ids.length > 1 ? ` (${ids.slice(1, 6).map(short).join(", ")}${ids.length > 6 ? ", ..." : ""})` : ""}.`) : null);

  function answerTrail(r) {
    const kept = (d) => step(`${d.filter} ${d.kept ? "kept" : "dropped"} it${d.round > data.answers.rounds ? ", for the control" : d.round !== r.round ? `, for round ${d.round}` : ""}`, d.kept ? "good" : "bad", line(d.reason));
    const sign = (p) => (r.learned.find((l) => l.policy === p.id) || { sign: 1 }).sign;
    const into = r.policies.map((id) => data.policies.find((p) => p.id === id)).filter(Boolean);
    return [
      step(`A ${r.ability} task${r.set ? ` of the ${r.set} set` : ""}`, "", line(`From ${r.source}.${r.gold === null ? "" : ` The right answer is ${r.gold}.`}`), ...r.served.map((s) => line(`In round ${s.round}: ${s.reason}`)), quote(r.question), idLine(r.task)),
      step(`Answered by ${r.made_by} in round ${r.round}${r.rollout ? `, ${r.rollout}` : ""}`, "", line(`By policy ${short(r.policy)} on ${r.engine}; ${r.tokens} tokens${r.finish === "length" ? ", cut off at the limit" : ""}${r.flags.length ? `; ${r.flags.join(", ")}` : ""}.`), spoken(r, quote), recalled(r.memories), asked(r.id, "what was asked"), idLine(r.id)),
      ...r.feedback.map((f) => step(`Marked ${f.mark} by a ${f.source}`, tone(f.mark), line(`${f.score === null ? "No score" : `Score ${f.score}`}; answer read: ${f.answer === null ? "none" : f.answer}. ${f.comment}`), asked(f.id, "what the judge was asked"))),
      ...r.decisions.map(kept),
      ...(r.rewritten.length ? [step("Rewritten", "", line(`${r.rewritten.length} further answer(s) were made from it.`), ...r.rewritten.map(idLine))] : []),
      ...(into.length ? into.map((p) => step(`Trained policy ${short(p.id)}${p.roles.length ? `, ${p.roles.join(", ")}` : ""}`, p.promoted === false ? "bad" : "good", line(`${sign(p) < 0 ? `Away from it: one of ${p.away.toLocaleString("en")} answers that it learned to avoid` : `One of ${p.answers.toLocaleString("en")} answers`}.${p.promoted === null ? "" : p.promoted ? " The gate promoted it." : " The gate refused it."}`), line(p.scores.map((s) => `${s.suite} exam ${percent(s.value)}`).join("; ")))) : [step("Nothing was trained on it", "")]),
    ];
  }

  function examTrail(r) {
    const said = (title, s) => step(title, tone(s.mark), line(`${s.engine}; ${s.tokens} tokens; answer read: ${s.answer === null ? "none" : s.answer}. ${s.comment}`), spoken(s, quote), recalled(s.memories), asked(s.solution, "what was asked"), " ", asked(s.feedback, "what the judge was asked"), s.solution ? idLine(s.solution) : null);
    const before = data.policies.find((p) => p.id === data.exam.policies[0]);
    return [
      step(`A ${r.ability} task of the ${data.exam.suite} set`, "", r.gold === null ? null : line(`The right answer is ${r.gold}.`), line("Exam tasks are not trained on."), quote(r.question), idLine(r.task)),
      said(`Before: ${r.before.mark}, policy ${data.exam.before}${before && before.roles.length ? `, ${before.roles.join(", ")}` : ""}`, r.before), said(`After: ${r.after.mark}, policy ${data.exam.after}`, r.after), ...chain(data.exam.policies[1]),
    ];
  }

  function lineage(title, trail) {
    $("lineage-title").textContent = title;
    $("lineage-body").replaceChildren(el("ol", { class: "trail" }, ...trail));
    const dialog = $("lineage");
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  // --- model calls --------------------------------------------------------------------------------------------------

  function callStep(c) {
    const whom = c.role === null || c.role === "self" ? "The model" : `The ${c.role}`;
    const how = c.sampling === null ? "" : ` Sampled with ${Object.entries(c.sampling).filter(([, v]) => v !== null).map(([k, v]) => `${k} ${v}`).join(", ")}.`;
    const shown = c.messages === null ? [line("What was shown was not kept by the instar that made this run.")] : c.messages.flatMap((m) => [el("h4", {}, m.role), quote(m.content)]);
    const said = c.replies.flatMap((r, i) => [el("h4", {}, `${c.replies.length > 1 ? `reply ${i + 1} of ${c.replies.length}` : "reply"}, ${r.tokens} tokens${r.finish === "length" ? ", cut off at the limit" : ""}`, r.chosen ? el("span", { class: "tag good" }, "this answer") : null), quote(r.text)]);
    return step(`${whom} was asked`, "", line(`Policy ${short(c.policy)} on ${c.engine}, ${c.precision}.${how}`), ...shown, ...said, el("p", { class: "id" }, el("a", { href: `#call-${c.id}` }, c.id)));
  }

  /** What models were asked for a record, or in the one call with this id: the live page's server knows, a file does not. */
  async function showCalls(id) {
    const title = "What models were asked";
    const { state: news } = document.body.dataset;
    if (!news) return lineage(title, [step("Not in this file", "", line("A report holds no prompts. Ask for them with:"), quote(`instar why ${id}`))]);
    try {
      const answer = await fetch(`${news.replace(/state$/, "calls")}?of=${encodeURIComponent(id)}`);
      const found = await answer.json();
      if (!answer.ok) return lineage(title, [step("Nothing to show", "bad", line(found.said))]);
      const more = found.more ? [step(`${found.more} more`, "", quote(`instar why ${id}`))] : [];
      lineage(title, found.calls.length ? [...found.calls.map(callStep), ...more] : [step("No model was asked", "", line("It was made without one."))]);
    } catch { lineage(title, [step("No answer from the server", "bad")]); }
  }
  const linked = () => {
    if (!location.hash.startsWith("#call-")) return;
    let id = location.hash.slice(6);
    try { id = decodeURIComponent(id); } catch { /* no encoded text, as "%": as it stands */ }
    showCalls(id);
  };

  // --- events -------------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const t = event.target.closest("button, dialog");
    if (!t) return;
    if (t.dataset.change !== undefined) {
      state.exam = { ...state.exam, change: t.dataset.change, shown: PAGE };
      showExam();
    } else if (t.id === "exam-more") { state.exam.shown += 4 * PAGE; showExam(); }
    else if (t.id === "answers-more") { state.answers.shown += 4 * PAGE; showAnswers(); }
    else if (t.dataset.exam !== undefined) lineage("Lineage of an exam's task", examTrail(data.exam.rows[Number(t.dataset.exam)]));
    else if (t.dataset.answer !== undefined) {
      const row = data.answers.rows.find((r) => r.id === t.dataset.answer);
      if (row) lineage("Lineage of an answer", answerTrail(row));
      else lineage("Lineage", [step("Not on this page", "", line(`Ask for it with: instar why ${t.dataset.answer}`))]);
    } else if (t.dataset.asked !== undefined) showCalls(t.dataset.asked);
    else if (t.dataset.close !== undefined || (t.id === "lineage" && event.target === t)) $("lineage").close();
  });
  document.addEventListener("theme", charts);
  // the filters' forms work as you type; one that leads somewhere is the browser's
  document.addEventListener("submit", (event) => { if (!event.target.hasAttribute("action")) event.preventDefault(); });
  for (const kind of ["input", "change"]) document.addEventListener(kind, (event) => {
    const [name, key] = event.target.id.split("-");
    if (!state[name] || !(key in state[name])) return;
    state[name] = { ...state[name], [key]: event.target.value, shown: PAGE };
    (name === "exam" ? showExam : showAnswers)();
  });

  function show() { tools(); showExam(); showAnswers(); charts(); }
  if (data.answers) show();
  if (data.answers) { linked(); addEventListener("hashchange", linked); }
  /** New facts of a run that goes on (the live page calls this). */
  return { update(next) { data = next; show(); } };
})();
