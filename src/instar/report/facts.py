"""Everything that a page about a run shows, as plain data: read once from its ledger, nothing is written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from instar.report.answers import answers
from instar.report.changed import changed
from instar.report.curves import pictures
from instar.report.exams import pair
from instar.report.filters import filters, marks
from instar.report.gates import gates
from instar.report.pace import pace
from instar.report.policies import descent, policies
from instar.report.summary import summary
from instar.report.verdict import verdict
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers import progress
from instar.store.roles import roles_of


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
    rounds = int(json.loads(ledger.about().get("resolved", "{}")).get("rounds", 0))
    marked = marks(ledger).get(at["round"], {})
    judged = marked.get("right", 0) + marked.get("wrong", 0)
    return {
        **at, **pace(ledger.rows("steps"), rounds, at, time.time()), "rounds": rounds,
        "right": marked.get("right", 0) / judged if judged else None, "judged": judged,
    }  # fmt: skip


def revision(folder: Path) -> str:
    """A text that changes whenever the ledger tells more; cheap enough to ask every second."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        return "-".join(str(v) for v in progress.revision(ledger))
    finally:
        ledger.close()
