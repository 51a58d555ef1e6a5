"""``instar show`` and ``why``: a run as a person wants to read it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from instar.cli.plain import aloud, plain
from instar.errors import ConfigError
from instar.report.attacks import in_words as attacks_in_words
from instar.report.audits import briefly
from instar.report.capabilities import in_words as capabilities_in_words
from instar.report.changed import changed_in
from instar.report.changed import in_words as told
from instar.report.created import in_words as made_in_words
from instar.report.created import refused
from instar.report.drift import in_words as drift_in_words
from instar.report.hints import hints, kept_of
from instar.report.learned import learned
from instar.report.summary import outcomes as read_outcomes
from instar.report.summary import summary
from instar.report.verdict import tells_reading
from instar.report.why import holds, why
from instar.run.curves import in_words
from instar.run.progress import SafeConsole, clock


def show_run(folder: Path, *, as_json: bool, outcomes: Path | None, full: bool = False) -> None:
    """Print a run's summary, ``full`` with its filters and audits; with ``outcomes`` also write every exam item's
    outcome to a file."""
    if outcomes is not None:
        rows = read_outcomes(folder)
        write_rows(rows, outcomes)
        aloud(f"{len(rows)} outcomes written to {outcomes}") if not as_json else None
    found = summary(folder)
    if as_json:
        print(json.dumps({**found, "changed": changed_in(folder)}, indent=1))
        return
    print_summary(found, page(), full=full)
    for entry in changed_in(folder) if full else ():
        for line in told(entry):
            aloud(f"  {line}")


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows as .jsonl or .csv (lists joined by |). In a .csv a cell that a spreadsheet would take for a formula begins
    with an apostrophe; numbers stay numbers."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, fieldnames=list(rows[0]) if rows else ["suite"])
            writer.writeheader()
            for r in rows:
                writer.writerow({k: _cell(v) for k, v in r.items()})
    else:
        raise ConfigError(f"{path.name}: outcomes can be written as .jsonl or .csv, not as {path.suffix or 'that'!r}.")


_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_NUMBER = re.compile(r"[-+]?(\d[\d.,]*|\.\d+)(/\d+)?([eE][-+]?\d+)?%?")


def _cell(value: Any) -> Any:
    """A value as a cell: what a model wrote must not be run by whoever opens the file."""
    parts = [str(v) for v in value] if isinstance(value, list) else [value]
    if not all(isinstance(part, str) for part in parts):
        return value
    text = "|".join(parts)
    harmless = text[:1] not in _FORMULA or all(_NUMBER.fullmatch(part) for part in parts)
    return text if not text or harmless else f"'{text}"


def print_summary(s: dict[str, Any], console: Console, *, full: bool = False) -> None:
    """The page: verdict first, then a line a round, then where the time went. ``full``: filters, gates' reasons and
    audits too."""
    console.print(Text(f"run {s['run']} ({s['recipe']}, {s['config'].get('model')}): {s['status']}", style="bold"))
    if s["status"] in ("stopped", "killed", "failed"):
        if s["why"]:
            console.print(f"  it ended with: {plain(s['why'])}", markup=False)
        console.print(f"  continue it with: instar resume {s['run']}", markup=False)
    if s["sealed"]:
        _sealed(s, console)
    for x in s.get("suites", ()):
        _suite(x, console)
    if "text" in s:
        console.print(f"  {s['text']['sentence']}", markup=False)
    for line in capabilities_in_words(s["capabilities"]) if full and s["capabilities"] else ():
        console.print(f"  ability, policy after policy, in %: {line}", markup=False)
    for line in drift_in_words(s["divergence"]) if full or s["divergence"]["measured"] else ():
        console.print(f"  {line}", markup=False)
    for first, *rows in attacks_in_words(s["attacks"]):
        for line in (f"  {first}", *(f"    {row}" for row in rows)):
            console.print(line, markup=False)
    for p in (s.get("verifier_stress") or {"probes": ()})["probes"]:
        if p["failed"]:
            console.print(f"  verifier stress: {p['name']} failed; {p['examples'][0]}", markup=False)
    for r in s["rounds"]:
        _steering(r, console, told=s["why"] is not None, full=full)
        if (r["solutions"] or r["filters"]) and not full:
            console.print(f"  {_in_a_line(r, s['status'] == 'finished')}", markup=False)
        elif r["solutions"] or r["filters"]:
            hinted = f", {r['rationalised']} of them with a hint" if r.get("rationalised") else ""
            undecided = "rolled out by an update" if r.get("rolled_out") else "not filtered"
            undecided += " yet" * (not r.get("rolled_out") and s["status"] != "finished")
            kept = f"kept by {_filters(r)}" if r["filters"] else undecided
            console.print(f"  round {r['round']}: {r['solutions']} answers{hinted}; {kept}", markup=False)
        elif r.get("training") or r.get("no_candidate"):
            console.print(f"  round {r['round']}:", markup=False)
        for t in r.get("training", ()) if full or r.get("rolled_out") else ():
            for line in in_words(t["series"]):
                console.print(f"    {t['op']}{'' if t['over'] else ', not over'}, {line}", markup=False)
        for m in r.get("memory", ()):
            console.print(f"    memory, {m['op']}: {m['words']}", markup=False)
        for x in r.get("no_candidate", ()):
            console.print(f"    no candidate: {x['reason']}", markup=False)
        if r["gate"] and (full or not r["solutions"]):
            word = "promoted" if r["gate"]["promoted"] else "refused"
            console.print(f"    gate: {word}: {r['gate']['reason']}", markup=False)
        for alarm in r.get("health", {}).get("alarms", ()):
            if alarm["raised"]:
                console.print(Text(f"    ALARM {alarm['name']}: {alarm['reason']}", style="bold red"))
    for r in s["audit"]:
        where = f"round {r['round']}" if r["round"] else "exams"
        for line in briefly(r["assessments"] if full else [a for a in r["assessments"] if not a["trusted"]]):
            console.print(f"  audit, {where}: {line}", markup=False)
    for r in s["comparison"] if full else ():
        console.print(f"  for the control: kept by {_filters(r)}", markup=False)
    for x in s["left_out"]:
        console.print(f"  left out of the {x['set']} set, for every policy: {x['task']}: {x['reason']}", markup=False)
    for x in s["made_again"]:
        console.print(
            f"  {x['calls']} calls of {x['verb']} gave no score and were made again in session {x['session']}"
            + (f": {plain(x['reason'])}" if x["reason"] else ""),
            markup=False,
        )
    if any(s["failures"].values()):
        console.print(f"  failed calls: {s['failures']['failed']} open, {s['failures']['dropped']} tolerated and final")
    _times(s, console, full=full)
    if not full and (s["audit"] or s["rounds"]):
        console.print(f"  filters, gates and audits: instar show {s['run']} --full", markup=False)


def _in_a_line(r: dict[str, Any], over: bool) -> str:
    """A round: how many answers, how many were right, how many were kept, what the gate said."""
    said = [f"round {r['round']}: {r['solutions']} answers"]
    filters = list(r["filters"].items())
    if r.get("rationalised"):
        said.append(f"{r['rationalised']} with a hint")
    if filters and filters[0][0] == "score_at_least":
        said.append(f"{filters[0][1]['kept']} right")
    said.append(f"{kept_of(r['filters'])} kept" if filters else "not filtered" + " yet" * (not over))
    line = ", ".join(said)
    if not r["gate"]:
        return line
    word = "promoted" if r["gate"]["promoted"] else "refused"
    gain: dict[str, Any] = next((c["numbers"] for c in r["gate"]["checks"] if c["name"] == "gain"), {})
    if None in (gain.get("gain"), gain.get("low"), gain.get("high")):
        return f"{line}; {word}: {r['gate']['reason']}"
    failed = [c["name"] for c in r["gate"]["checks"] if not c["passed"] and c["name"] != "gain"]
    by = f" by {', '.join(failed)}" if failed else ""
    return f"{line}; {word}{by}, {100 * gain['gain']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"


def _steering(r: dict[str, Any], console: Console, *, told: bool, full: bool = False) -> None:
    """What a round was to get better at, and what was predicted of it."""
    objectives = r.get("objectives", [])
    if r.get("weighed") and (r["weighed"]["goes_on"] or not told):
        word = "goes on" if r["weighed"]["goes_on"] else "stopped"
        console.print(f"  round {r['round']} {word}: {r['weighed']['reason']}", markup=False)
    if r.get("held"):
        console.print(Text(f"  round {r['round']} was held: {plain(r['held']['reason'])}", style="bold red"))
    if objectives:
        console.print(f"  round {r['round']} objective: {objectives[0]['reason']}", markup=False)
    parents = {o["parent"] for o in objectives}
    split = {o["ability"]: o["tasks"] for o in objectives[1:] if o["id"] not in parents and o["tasks"]}
    got = r.get("selected_by_ability") or split
    if split:
        console.print(f"    tasks: {', '.join(f'{a} {n}' for a, n in split.items())}", markup=False)
    if split and got != split:  # split equally, drawn over all abilities, or short of some
        console.print(f"    selected: {', '.join(f'{a} {n}' for a, n in got.items())}", markup=False)
    if r.get("created"):
        made = r["created"]
        console.print(f"    created: {made['kept']} tasks, {made['dropped']} more were dropped", markup=False)
    for row in r.get("quality", ()):
        console.print(f"    {made_in_words(row)}", markup=False)
        for line in refused(row) if full else ():
            console.print(f"      {line}", markup=False)
    if r.get("prediction"):
        console.print(f"    prediction: {r['prediction']['reason']}", markup=False)


def _filters(round: dict[str, Any]) -> str:
    return ", ".join(f"{n} {f['kept']}/{f['kept'] + f['dropped']}" for n, f in round["filters"].items())


def page() -> Console:
    """Where a summary is printed: a terminal as wide as it is, a file or pipe wide enough for the table."""
    console = SafeConsole(highlight=False)  # wrapped between words, not in them
    return console if console.is_terminal else SafeConsole(soft_wrap=True, highlight=False, width=140)


def _unchanged(s: dict[str, Any], console: Console) -> None:
    """No candidate was promoted: what was missing, and what may help."""
    x = s["sealed"]
    gates = [r["gate"] for r in s["rounds"] if r["gate"]]
    none = f"none of {len(gates)} candidates was promoted" if gates else "no candidate came to a gate"
    console.print(
        Text.assemble(
            ("  unchanged: ", "bold"),
            f"{none}, so the result is the base: {x['final']:.1%} of the sealed exam (n = {x['n']})",
        )
    )
    if len(x["abilities"]) > 1:
        each = ", ".join(f"{ability} {a['final']:.1%}" for ability, a in x["abilities"].items())
        console.print(f"  by ability: {each}", markup=False)
    for sentence in hints(s):
        console.print(f"  what may help: {sentence}", markup=False)


def _sealed(s: dict[str, Any], console: Console) -> None:
    x = s["sealed"]
    if s["final"] == s["base"] and not x.get("procedures"):
        _unchanged(s, console)
        return
    sure = "a real gain" if x["low"] > 0 else "a real loss" if x["high"] < 0 else "no gain that can be told from chance"
    console.print(
        Text.assemble(
            ("  sealed exam: ", "bold"),
            f"{x['base']:.1%} -> {x['final']:.1%}, ",
            (f"{100 * x['gain']:+.1f} points", "bold"),
            f" (95 % interval {100 * x['low']:+.1f} to {100 * x['high']:+.1f}, n = {x['n']}): {sure}",
        )
    )
    if x["best_constant"] is not None:
        console.print(f"  best constant answer: {x['best_constant']:.1%} (always giving one answer scores this)")
    if tells_reading(x):
        console.print(f"  answers that could be read: {x['parse_base']:.1%} before, {x['parse_final']:.1%} after")
    for name, c in x["controls"].items():
        console.print(
            f"  control ({name}): {c['score']:.1%}; evolved beats it by {100 * c['evolved_minus_control']:+.1f} points "
            f"({100 * c['low']:+.1f} to {100 * c['high']:+.1f}); read: {c['parse']:.1%}",
            markup=False,
        )
    for name, p in x.get("procedures", {}).items():
        console.print(procedure_table(name, p))
    table = Table(box=None, padding=(0, 2 if console.width > 100 else 1), header_style="dim")
    for column in ("ability", "before", "after", "gain", "95 % interval", "best constant", "n"):
        table.add_column(column, justify="left" if column == "ability" else "right")
    for ability, a in x["abilities"].items():
        constant = "-" if a["best_constant"] is None else f"{a['best_constant']:.1%}"
        table.add_row(
            Text(plain(ability)), f"{a['base']:.1%}", f"{a['final']:.1%}", f"{100 * a['gain']:+.1f}",
            f"{100 * a['low']:+.1f} to {100 * a['high']:+.1f}", constant, str(a["n"]),
        )  # fmt: skip
    console.print(table)


def _suite(x: dict[str, Any], console: Console) -> None:
    """A suite beside the sealed exam: before and after, and whether a change for the worse is ruled out."""
    console.print(
        Text.assemble(
            (f"  {x['name']}: ", "bold"),
            f"{x['base']:.1%} -> {x['final']:.1%} ({x['better']} is better), {100 * x['gain']:+.1f} points "
            f"(95 % interval {100 * x['low']:+.1f} to {100 * x['high']:+.1f}, n = {x['n']}): {x['sentence']}",
        )
    )
    for name, c in x["controls"].items():
        console.print(
            f"    control ({name}): {c['score']:.1%}; evolved is {100 * c['evolved_minus_control']:+.1f} points from "
            f"it ({100 * c['low']:+.1f} to {100 * c['high']:+.1f})",
            markup=False,
        )


def procedure_table(name: str, p: dict[str, Any]) -> Table:
    """A procedure beside sampling that writes as many tokens; the last column is what the procedure gains on that."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in (f"{name}, n = {p['n']}", "score", "95 % interval", "tokens a task", f"gain of {name}"):
        table.add_column(column, justify="left" if not table.columns else "right")
    rows = {
        "plain": ("plain", p["gain"]),
        "procedure": (name, None),
        "sampling": ("one sample, on average", None),
        "self_consistency": (f"majority of {p['k']} samples", p.get("gain_on_self_consistency")),
        "best_of_k": (f"best of {p['k']}, if an oracle picked", None),
    }
    for key, (words, gain) in rows.items():
        if key in p:
            r = p[key]
            gained = (
                f"{100 * gain['value']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})" if gain else ""
            )
            interval = f"{100 * r['low']:.1f} to {100 * r['high']:.1f}"
            table.add_row(Text(words), f"{r['score']:.1%}", interval, f"{r['tokens']:.1f}", gained)
    return table


def _times(s: dict[str, Any], console: Console, *, full: bool) -> None:
    seconds = dict(s["seconds"])
    wall = seconds.pop("wall", 0.0)
    if not wall:
        return
    if s["clock_jumped"]:
        console.print("  the clock was set while this run worked: the times shown are those that were measured")
    if s["evolution_seconds"]:
        also = "control and exams" if s["controls"] else "exams"
        console.print(f"  evolved in {clock(s['evolution_seconds'])}; {clock(wall)} with {also}")
    engines = s.get("engines")
    if engines and engines["exam"] != engines["sample"]:
        console.print(
            f"  samples by {engines['sample']} {engines['precision']} ({engines['why']}), exams by {engines['exam']}",
            markup=False,
        )
    parts = []
    small = {phase: sec for phase, sec in seconds.items() if sec < (0.005 if full else 0.05) * wall}
    for phase, sec in sorted(seconds.items(), key=lambda kv: -kv[1]):
        if phase in small:
            continue
        made = s["tokens"].get(phase, 0)
        rate = f" at {made / sec:,.0f} tokens/s" if made and sec > 0.5 else ""
        reached = s.get("share_of_limit", {}).get(phase)
        limit = f", {reached:.0%} of peak" if reached and rate else ""
        parts.append(f"{phase} {sec:.1f} s ({sec / wall:.1%}){rate}{limit}")
    if small:
        parts.append(f"other {sum(small.values()):.1f} s")
    console.print("  time: " + ", ".join(parts), markup=False)
    if any("of peak" in part for part in parts):
        how = "as measured" if s.get("limit_was_quiet") is not False else "measured beside other work, so it is higher"
        console.print(f"  (peak: the rate of this machine's matrix products, {how}; instar doctor)", markup=False)


def run_with(id: str | None, newest: Path, *, chosen: bool) -> Path:
    """The run whose record is meant: the chosen or newest one, else the newest of the others that has such an id."""
    if id is None or chosen or holds(newest, id):
        return newest
    beside = [p.parent for p in newest.parent.glob("*/ledger.db") if p.parent != newest]
    beside.sort(key=lambda p: (p / "ledger.db").stat().st_mtime, reverse=True)
    return next((p for p in beside if holds(p, id)), newest)


def show_why(folder: Path, id: str | None, *, as_json: bool) -> None:
    """Print a record's ancestry and descendants as sentences; without an id, those of an answer that the result was
    trained on, or why there is none."""
    found = learned(folder) if id is None else why(folder, id)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    aloud(f"{found['id']} ({found['kind']}, run {folder.name})" if found["id"] else f"run {folder.name}")
    for sentence in found["sentences"]:
        print("  " + plain(sentence))
    if found["made_from_sets"]:
        reached = ", ".join(f"{n} of the {s} set" for s, n in sorted(found["made_from_sets"].items()))
        print(f"  Tasks it descends from: {reached}.")
