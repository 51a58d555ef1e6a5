"""A record's line both ways, as sentences: the policies and sets it descends from, and what descends from it."""

from __future__ import annotations

import json
from typing import cast

from instar.records import Policy, Record, Report
from instar.store.ledger import Ledger


def ancestry(ledger: Ledger, record: Record) -> list[str]:
    """What made this, back to the beginning: the line of policies (newest first), then the objectives it served."""
    past = ledger.ancestors(record.id)
    policies = _policies(ledger, past)
    out = []
    if policies:
        line = "; ".join(_policy(ledger, p) for p in policies)
        out.append(f"Behind it {_stand(len(policies))}: {line}.")
    decided = [r for r in ledger.records(ids=sorted(ledger.ancestors(record.id, "decided_by"))) if r.kind != "task"]
    kinds = _counted(decided)
    if kinds:
        out.append(f"Decided by: {kinds}.")
    return out


def legacy(ledger: Ledger, record: Record) -> list[str]:
    """What it went into, to the end: the policies that descend from it, and the exams those were scored on."""
    ahead = descendants(ledger, record.id)
    policies = _policies(ledger, ahead)
    if not policies:
        return []
    result = json.loads(ledger.about().get("result", "{}"))
    ended = {result.get("final"): "the one the run ended with"}
    ended |= {id: f"the control {name!r}" for name, id in result.get("controls", {}).items()}
    names = [_short(p.id) + (f" ({ended[p.id]})" if p.id in ended else "") for p in reversed(policies)]
    out = [f"Further on, {len(policies)} {'policy descends' if len(policies) == 1 else 'policies descend'} from it: "
           f"{', '.join(names)}."]  # fmt: skip
    ids = {p.id for p in policies}
    scores = [
        f"{_short(r.policy)} {r.metrics['mean@1'].value:.1%} on {r.exam.suite}"
        for r in cast(list[Report], ledger.records("report"))
        if r.policy in ids
    ]
    return [*out, f"They were examined: {', '.join(scores)}."] if scores else out


def descendants(ledger: Ledger, id: str) -> set[str]:
    """Everything made from a record, directly or not."""
    seen: set[str] = set()
    frontier = {id}
    while frontier:
        frontier = {c for cs in ledger.children(frontier).values() for c in cs} - seen
        seen |= frontier
    return seen


def _policies(ledger: Ledger, ids: set[str]) -> list[Policy]:
    """The policies among these records, newest first."""
    found = [cast(Policy, p) for p in ledger.records("policy") if p.id in ids]
    return sorted(found, key=lambda p: -int(ledger.provenance(p.id)["round"]))


def _policy(ledger: Ledger, policy: Policy) -> str:
    parents = ledger.parents([policy.id])[policy.id]
    if not parents:
        return f"{_short(policy.id)}, where the run began ({policy.weights.name or policy.weights.place})"
    origin = ledger.provenance(policy.id)
    op = ledger.ops().get(origin["op"], {"name": "?"})["name"]
    made = _counted([r for r in ledger.records(ids=parents) if r.kind in ("solution", "task")])
    return f"{_short(policy.id)}, made by {op} in round {origin['round']} from {made}"


def _counted(records: list[Record]) -> str:
    counts: dict[str, int] = {}
    for r in records:
        counts[r.kind] = counts.get(r.kind, 0) + 1
    return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(counts.items()))


def _stand(n: int) -> str:
    return "stands one policy" if n == 1 else f"stand {n} policies"


def _short(id: str) -> str:
    return id.split(":")[-1][:8]
