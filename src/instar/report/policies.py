"""The policies of a run: what each was made from, what the gate said of it, how it scored."""

from __future__ import annotations

import json
from typing import Any, cast

from instar.records import Report, Verdict
from instar.report.gates import stopped
from instar.store.ledger import Ledger
from instar.store.readers.lineage import sets_behind
from instar.store.readers.policies import stored
from instar.store.roles import Roles, Update


def policies(ledger: Ledger, roles: Roles) -> list[dict[str, Any]]:
    """Every policy in the order it was made, with what it is in the run (no role: a candidate) and its scores."""
    names = {i: o["name"] for i, o in ledger.ops().items()}
    judged = cast(list[Verdict], ledger.records("verdict"))
    verdicts, early = {v.candidate: v for v in judged}, stopped(judged)
    scores: dict[str, list[dict[str, Any]]] = {}
    for r in cast(list[Report], ledger.records("report")):
        if r.id in early:
            continue
        m = r.metrics["mean@1"]
        scores.setdefault(r.policy, []).append(
            {"suite": r.exam.suite, "value": m.value, "low": m.low, "high": m.high, "n": m.n}
        )
    out = []
    for row in stored(ledger):
        body, id = json.loads(row.body), row.id
        v = verdicts.get(id)
        made = roles.updates.get(id)
        out.append(
            {
                "id": id, "short": short(id), "round": row.round, "made_by": names.get(row.op, body["made_by"]),
                "parent": body["parent"], "weights": body["weights"]["name"] or body["weights"]["place"],
                "answers": len(made.solutions) if made else 0, "tasks": len(made.tasks) if made else 0,
                "away": len(made.away) if made else 0,
                "made_from": taught(made) if made else None, "roles": roles.of(id),
                "promoted": None if v is None else v.promoted, "reason": None if v is None else v.reason,
                "scores": sorted(scores.get(id, ()), key=lambda s: str(s["suite"])),
            }
        )  # fmt: skip
    return out


def taught(made: Update) -> str:
    """What an update was handed, in words. One that rolls out by itself is handed tasks alone."""
    tasks = f"{len(made.tasks):,} task{'s' * (len(made.tasks) != 1)}"
    if made.rolled_out:
        n, m = len(made.solutions), len(made.away)
        signs = f", {n:,} answer{'s' * (n != 1)} learned toward and {m:,} away from" if n or m else ""
        return f"its own rollouts on {tasks}{signs}"
    if made.idle:
        n = len(made.handed)
        return f"{n:,} answer{'s' * (n != 1)} to {tasks}, on which no weight was trained"
    return f"{len(made.solutions):,} answer{'s' * (len(made.solutions) != 1)} to {tasks}"


def descent(ledger: Ledger, policy: str) -> dict[str, int]:
    """How many tasks of each set are among a policy's ancestors: gate and sealed must not be there."""
    return sets_behind(ledger, policy)


def short(id: str) -> str:
    """An id as people read it: the first 8 characters."""
    return id.split(":")[-1][:8]
