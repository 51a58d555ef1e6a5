"""The policies of a run: what each was made from, what the gate said of it, how it scored."""

from __future__ import annotations

import json
from typing import Any, cast

from instar.records import Report, Verdict
from instar.store.ledger import Ledger

_MADE = """
select p.id, p.round, p.op, p.body,
       (select count(*) from edges e join records r on r.id = e.parent
        where e.child = p.id and e.type = 'made_from' and r.kind = 'solution') as answers,
       (select count(*) from edges e join records r on r.id = e.parent
        where e.child = p.id and e.type = 'made_from' and r.kind = 'task') as tasks
from records p where p.kind = 'policy' order by p.rowid"""

_SETS = """
with recursive up(id) as (
  select parent from edges where child = :policy and type = 'made_from'
  union select e.parent from edges e join up on e.child = up.id where e.type = 'made_from')
select name, count(*) as n from up join sets on sets.task = up.id group by name order by name"""


def policies(ledger: Ledger, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every policy in the order it was made, with its role in the result and its scores by exam."""
    controls = {id: name for name, id in result.get("controls", {}).items()}
    names = {i: o["name"] for i, o in ledger.ops().items()}
    verdicts = {v.candidate: v for v in cast(list[Verdict], ledger.records("verdict"))}
    scores: dict[str, list[dict[str, Any]]] = {}
    for r in cast(list[Report], ledger.records("report")):
        m = r.metrics["mean@1"]
        scores.setdefault(r.policy, []).append(
            {"suite": r.exam.suite, "value": m.value, "low": m.low, "high": m.high, "n": m.n}
        )
    out = []
    for row in ledger.select(_MADE):
        body, id = json.loads(row["body"]), row["id"]
        v = verdicts.get(id)
        roles = [role for role in ("base", "final") if result.get(role) == id]
        roles += [f"control: {controls[id]}"] if id in controls else []
        roles += ["base"] if row["round"] == 0 and "base" not in roles else []
        out.append(
            {
                "id": id, "short": short(id), "round": row["round"], "made_by": names.get(row["op"], body["made_by"]),
                "parent": body["parent"], "weights": body["weights"]["name"] or body["weights"]["place"],
                "answers": row["answers"], "tasks": row["tasks"], "roles": roles,
                "promoted": None if v is None else v.promoted, "reason": None if v is None else v.reason,
                "scores": sorted(scores.get(id, ()), key=lambda s: str(s["suite"])),
            }
        )  # fmt: skip
    return out


def descent(ledger: Ledger, policy: str) -> dict[str, int]:
    """How many tasks of each set are among a policy's ancestors: gate and sealed must not be there."""
    return {r["name"]: r["n"] for r in ledger.select(_SETS, policy=policy)}


def short(id: str) -> str:
    """An id as people read it: the first 8 characters."""
    return id.split(":")[-1][:8]
