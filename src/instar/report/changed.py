"""What each candidate does now and did not before, and what it does no longer: changed items in named groups.

From exams that may be quoted: dev, round by round, and the sealed one once the run is over. Of a gate's items there are
counts alone, and of a sample that a gate stopped not even those. methods.md 5.5; by rule, no model is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, cast

from instar.records import Outcome, Report, Verdict
from instar.report.errors_by_kind import form_of, kind_of_error, length_of
from instar.report.exams import questions_of
from instar.report.gates import stopped
from instar.report.policies import short
from instar.report.transcript import cut
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers import exams

CASES = 3
"""Cases quoted of a group."""
TOLD = 6
"""Groups told in a terminal; the rest are counted."""
TEXT = 200
"""Characters of a quoted text."""
MOSTLY = 0.75
"""Share of a group from which its form or length is a part of its name."""


class Moved(NamedTuple):
    """An item that was wrong and is right, or the other way: its outcome on both sides, and the kind of its error."""

    before: Outcome
    after: Outcome
    kind: str
    question: str


def changed(ledger: Ledger, result: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry for each candidate that was compared with the policy it would replace, in the order of the rounds, and
    at last the result beside the base; those without a changed item are left out."""
    verdicts = exams.verdicts_by_round(ledger)
    reports = cast(list[Report], ledger.records("report"))
    by_id = {r.id: r for r in reports}
    dev = {r.policy: r for r in reports if r.exam.suite == "dev"}
    early = stopped(v for _, v in verdicts)
    out = []
    for round, v in verdicts:
        pair = _of_candidate(v, dev, by_id, early)
        if pair is not None:
            out.append({"round": round, "promoted": v.promoted, **_compared(ledger, *pair)})
    sealed = {r.policy: r for r in reports if r.exam.suite == "sealed"}
    base, final = result.get("base"), result.get("final")
    if base != final and base in sealed and final in sealed:
        out.append({"round": None, "promoted": None, **_compared(ledger, sealed[base], sealed[final])})
    return [x for x in out if x["now_does"] or x["no_longer_does"]]


def changed_in(folder: Path) -> list[dict[str, Any]]:
    """``changed`` of the run in a folder. Raises StoreError when there is no ledger."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        return changed(ledger, json.loads(ledger.about().get("result", "{}")))
    finally:
        ledger.close()


def in_words(entry: dict[str, Any]) -> list[str]:
    """Lines for a terminal: a head, then each group, with a case where it may be quoted."""
    of = f"round {entry['round']}" if entry["round"] else "in all"
    word = {True: " (promoted)", False: " (refused)", None: ""}[entry["promoted"]]
    out = [f"changed, {of}: {entry['after']}{word} beside {entry['before']} on {entry['n']} {entry['suite']} items"]
    for key, said in (("now_does", "now does"), ("no_longer_does", "no longer does")):
        total = sum(g["n"] for g in entry[key])
        out += [f"  {said} {total}:"] if total else []
        for g in entry[key][:TOLD]:
            case = g["cases"][0] if g["cases"] else None
            quoted = f'; "{_line(case["question"])}": {_said(case["before"])} -> {_said(case["after"])}' if case else ""
            out.append(f"    {g['n']} {g['name']}{quoted}")
        rest = entry[key][TOLD:]
        out += [f"    {sum(g['n'] for g in rest)} in {len(rest)} smaller groups"] if rest else []
    return out


def _of_candidate(
    v: Verdict, dev: dict[str, Report], by_id: dict[str, Report], early: set[str]
) -> tuple[Report, Report] | None:
    """Its reports on dev beside the incumbent's; else those of the gate, unless it stopped early."""
    if v.incumbent in dev and v.candidate in dev:
        return dev[v.incumbent], dev[v.candidate]
    if v.incumbent_report in early:
        return None
    before, after = by_id.get(v.incumbent_report), by_id.get(v.candidate_report)
    return (before, after) if before is not None and after is not None else None


def _compared(ledger: Ledger, before: Report, after: Report) -> dict[str, Any]:
    quoting = after.exam.suite != "gate"
    then = {o.task: o for o in before.outcomes}
    moved = [(then[o.task], o) for o in after.outcomes if o.task in then and _right(o) is not _right(then[o.task])]
    questions = questions_of(ledger, [o.task for _, o in moved])
    finishes = (_finishes(ledger, before), _finishes(ledger, after))
    groups: dict[bool, list[Moved]] = {True: [], False: []}
    for b, a in moved:
        now = _right(a)
        wrong, finish = (b, finishes[0]) if now else (a, finishes[1])
        place = next(i for i, m in enumerate(wrong.marks) if m.value != "right")
        kind = kind_of_error(questions.get(a.task, ""), a.gold, wrong.answers[place], finish.get((a.task, place), ""))
        groups[now].append(Moved(b, a, kind, questions.get(a.task, "")))
    return {
        "suite": after.exam.suite, "before": short(before.policy), "after": short(after.policy),
        "policies": [before.policy, after.policy], "n": len(after.outcomes),
        "now_does": _named(groups[True], quoting=quoting, now=True),
        "no_longer_does": _named(groups[False], quoting=quoting, now=False),
    }  # fmt: skip


def _right(o: Outcome) -> bool:
    return o.score > 0.5


def _finishes(ledger: Ledger, report: Report) -> dict[tuple[str, int], str]:
    """(task, sample) to how the answer ended."""
    out: dict[tuple[str, int], str] = {}
    seen: Counter[str] = Counter()
    for r in exams.examined(ledger, report.id):
        out[r.task, seen[r.task]] = r.finish
        seen[r.task] += 1
    return out


def _named(moved: list[Moved], *, quoting: bool, now: bool) -> list[dict[str, Any]]:
    """Groups of one ability and one kind of error, the largest first, each named by what most of it have in common."""
    groups: dict[tuple[str, str], list[Moved]] = {}
    for m in moved:
        groups.setdefault((m.after.ability, m.kind), []).append(m)
    out = []
    for (ability, kind), own in groups.items():
        form = _common([form_of(m.after.gold) for m in own])
        length = _common([length_of(m.question) for m in own])
        what = ", ".join(x for x in (form, length) if x)
        error = f"{'the error was' if now else 'the error is'}: {kind}"
        out.append(
            {
                "ability": ability, "error": kind, "form": form, "length": length, "n": len(own),
                "name": f"{ability}{f' ({what})' if what else ''}; {error}",
                "cases": [_case(m) for m in own[:CASES]] if quoting else [],
            }
        )  # fmt: skip
    return sorted(out, key=lambda g: (-int(g["n"]), str(g["name"])))


def _common(values: list[str]) -> str | None:
    found, n = Counter(values).most_common(1)[0]
    return found if n >= MOSTLY * len(values) else None


def _case(m: Moved) -> dict[str, Any]:
    return {
        "task": m.after.task, "question": cut(m.question, TEXT), "gold": m.after.gold and cut(m.after.gold, TEXT),
        "before": m.before.answers[0] and cut(m.before.answers[0], TEXT),
        "after": m.after.answers[0] and cut(m.after.answers[0], TEXT),
    }  # fmt: skip


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= 60 else f"{one[:20]}…{one[-39:]}"  # a task is told apart by its end


def _said(answer: str | None) -> str:
    return "nothing that was read" if answer is None else f'"{_line(answer)}"'
