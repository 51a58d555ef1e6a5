"""One exam before and after, item by item: the same task, what the model said then and what it says now."""

from __future__ import annotations

import json
from typing import Any, cast

from instar.records import Outcome, Report
from instar.report.policies import short
from instar.report.transcript import cut, several, transcripts
from instar.store.ledger import Ledger
from instar.store.readers import answers, exams

ITEMS = 2000
"""Items shown at most; what is left out is said."""


def pair(ledger: Ledger, result: dict[str, Any]) -> dict[str, Any] | None:
    """Base and final on the sealed exam; of a run that is not over, the two of its newest gate. None before that."""
    reports = cast(list[Report], ledger.records("report"))
    sealed = {r.policy: r for r in reports if r.exam.suite == "sealed"}
    if result.get("base") in sealed and result.get("final") in sealed:
        before, after = sealed[result["base"]], sealed[result["final"]]
        what = "the sealed exam: the base model before, the final model after"
    else:
        v = exams.newest_verdict(ledger)
        if v is None:
            return None
        by_id = {r.id: r for r in reports}
        if v.incumbent_report not in by_id:
            return None  # of texts, where there are no answers to show
        before, after = by_id[v.incumbent_report], by_id[v.candidate_report]
        what = "the newest gate (the sealed exam comes at the end): the incumbent before, the candidate after"
    rows = _rows(ledger, before, after)
    return {
        "what": what, "suite": after.exam.suite, "before": short(before.policy), "after": short(after.policy),
        "policies": [before.policy, after.policy], "rows": rows, "total": len(after.outcomes),
        "left_out": len(after.outcomes) - len(rows),
    }  # fmt: skip


def _rows(ledger: Ledger, before: Report, after: Report) -> list[dict[str, Any]]:
    then = {o.task: o for o in before.outcomes}
    both = [(then[o.task], o) for o in after.outcomes if o.task in then]
    # what changed comes first: with more items than can be shown, it is what a reader looks for
    both.sort(key=lambda pair: pair[0].score == pair[1].score)
    shown = both[:ITEMS]
    said_before, said_after = _said(ledger, before), _said(ledger, after)
    questions = questions_of(ledger, [o.task for o, _ in shown])
    return [
        {
            "task": a.task, "ability": a.ability, "gold": a.gold, "question": questions.get(a.task, ""),
            "change": _change(b, a), "before": _side(b, said_before), "after": _side(a, said_after),
        }
        for b, a in shown
    ]  # fmt: skip


def _change(b: Outcome, a: Outcome) -> str:
    if a.score > b.score:
        return "newly right"
    if a.score < b.score:
        return "newly wrong"
    return "both right" if a.score == 1 else "both wrong" if a.score == 0 else "as before"


def _side(o: Outcome, said: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    own = said.get(o.task, [])
    return {
        "mark": o.marks[0].value if len(set(o.marks)) == 1 else "mixed", "score": o.score, "samples": len(o.marks),
        "answer": o.answers[0], "tokens": sum(o.tokens), "text": own[0]["text"] if own else None,
        "turns": own[0]["turns"] if own else None,
        "solution": own[0]["id"] if own else None, "feedback": own[0]["feedback"] if own else None,
        "comment": own[0]["comment"] if own else "", "memories": own[0]["memories"] if own else [],
        "engine": f"{own[0]['engine']}, {own[0]['precision']}" if own else "",
    }  # fmt: skip


def _said(ledger: Ledger, report: Report) -> dict[str, list[dict[str, Any]]]:
    """Task id to the answers that this report was made from, in the order of its samples."""
    out: dict[str, list[dict[str, Any]]] = {}
    found = exams.examined(ledger, report.id)
    turns = transcripts(ledger, [r.id for r in found if several(r.turns)])
    for r in found:
        out.setdefault(r.task, []).append(
            {"id": r.id, "text": text_of(r.turns), "comment": cut(r.comment or ""), "engine": r.engine,
             "precision": r.precision, "feedback": r.feedback, "turns": turns.get(r.id),
             "memories": json.loads(r.memories or "[]")}
        )  # fmt: skip
    return out


def text_of(turns: str) -> str:
    """What is shown of a solution's turns (JSON): one turn plainly, several with who speaks."""
    said = json.loads(turns)
    if len(said) == 1:
        return cut(said[0]["text"])
    return cut("\n".join(f"[{t['kind'].replace('_', ' ')}] {t['text']}" for t in said))


def questions_of(ledger: Ledger, tasks: list[str]) -> dict[str, str]:
    """Task id to its last user message."""
    out = {}
    for r in answers.shown(ledger, tasks):
        users = [m["content"] for m in json.loads(r.messages) if m["role"] == "user"]
        out[r.id] = cut(users[-1]) if users else ""
    return out
