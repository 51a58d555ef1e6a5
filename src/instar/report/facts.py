"""Everything that a page about a run shows, as plain data: read once from its ledger, nothing is written."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from instar.errors import StoreError
from instar.report.answers import answers
from instar.report.attacks import headline
from instar.report.changed import changed
from instar.report.curves import pictures
from instar.report.drift import curve, in_words
from instar.report.exams import pair
from instar.report.filters import filters, marks
from instar.report.gates import gates
from instar.report.pace import pace, whole
from instar.report.policies import descent, policies
from instar.report.summary import summary
from instar.report.verdict import verdict
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers import progress
from instar.store.roles import roles_of
from instar.store.sessions import worked


def facts(folder: Path) -> dict[str, Any]:
    """A run as its report and its live page show it. Raises StoreError when there is no ledger."""
    found = summary(folder)
    said = verdict(found)
    ledger = open_ledger(folder / "ledger.db")
    try:
        about = ledger.about()
        result = json.loads(about.get("result", "{}"))
        by_round, marked, judged = filters(ledger), marks(ledger), gates(ledger)
        for r in [*found["rounds"], *found["comparison"]]:
            r["training"] = [{**t, "pictures": pictures(t["series"])} for t in r.get("training", ())]
            r.setdefault("no_candidate", [])
            r["filters"] = by_round.get(r["round"], [])
            r["marks"] = marked.get(r["round"], {})
            r["gates"] = [g for g in judged if g["round"] == r["round"]]
        examples = [x["example"] for fs in by_round.values() for f in fs for x in f["reasons"]]
        final, roles = result.get("final"), roles_of(ledger)
        return {
            **found,
            "made_at": time.strftime("%Y-%m-%d %H:%M", time.localtime()),
            "verdict": said,
            "drift": {"lines": in_words(found["divergence"]), "curve": curve(found["divergence"])},
            "attacks": [{**x, "headline": headline(x)} for x in found["attacks"]],
            "policies": policies(ledger, roles),
            "descent": descent(ledger, final) if final and final != result.get("base") else {},
            "exam": pair(ledger, result),
            "changed": changed(ledger, result),
            "answers": answers(ledger, roles, also=examples),
            "doing": doing(ledger) if found["status"] == "running" else None,
            "session_list": ledger.rows("sessions"),
            "versions": json.loads(about["versions"]) if "versions" in about else None,
            "ops": [{"id": i, **o} for i, o in sorted(ledger.ops().items(), key=lambda kv: kv[1]["name"])],
        }
    finally:
        ledger.close()


def doing(ledger: Ledger) -> dict[str, Any] | None:
    """What a running run is at: the step that is not finished, how many of its calls are, how long it may take, and the
    share of this round's judged answers that are right."""
    found = progress.doing(ledger)
    if found is None:
        return None
    at = found._asdict()
    about = ledger.about()
    rounds = int(json.loads(about.get("resolved", "{}")).get("rounds", 0))
    agenda = json.loads(about["agenda"]) if "agenda" in about else None  # a run of an older instar has none
    steps, began, now = _in_worked_time(ledger, found.started)
    paced = {**at, "started": began}
    marked = marks(ledger).get(at["round"], {})
    judged = marked.get("right", 0) + marked.get("wrong", 0)
    return {
        **at, "rounds": rounds, "controls": (agenda or {}).get("controls", 0),
        **pace(steps, rounds, paced, now, agenda, evolved="evolved_at" in about),
        "right": marked.get("right", 0) / judged if judged else None, "judged": judged,
    }  # fmt: skip


def left_of(folder: Path) -> float | None:
    """Seconds that a run which goes on may still take, its last exams and its control too; None before that is known,
    between two steps, and where its ledger cannot be read just now: nobody's run ends for that."""
    with contextlib.suppress(StoreError), contextlib.closing(open_ledger(folder / "ledger.db")) as ledger:
        found, about = progress.doing(ledger), ledger.about()
        if found is not None and "agenda" in about:
            steps, began, now = _in_worked_time(ledger, found.started)
            at, evolved = {**found._asdict(), "started": began}, "evolved_at" in about
            return whole(json.loads(about["agenda"]), steps, at, now, evolved=evolved)
    return None


def _in_worked_time(ledger: Ledger, doing: float | None) -> tuple[list[dict[str, Any]], float | None, float]:
    """The steps that were begun, when the one at hand was, and now: each in seconds that the run had worked then."""
    now = time.time()
    seconds = worked(ledger, now)

    def at(stamp: float | None) -> float | None:
        return None if stamp is None else seconds(stamp)

    steps = [{**s, "started": at(s["started"]), "ended": at(s["ended"])} for s in ledger.rows("steps") if s["started"]]
    return steps, at(doing), seconds(now)


def revision(folder: Path) -> str:
    """A text that changes whenever the ledger tells more; cheap enough to ask every second."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        return "-".join(str(v) for v in progress.revision(ledger))
    finally:
        ledger.close()
