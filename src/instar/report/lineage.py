"""A record's line both ways, as sentences: the policies and sets it descends from, and what descends from it."""

from __future__ import annotations

from typing import cast

from instar.errors import Redacted
from instar.records import Policy, Record, Report
from instar.store.ledger import Ledger
from instar.store.roles import Roles


def ancestry(ledger: Ledger, record: Record, roles: Roles) -> list[str]:
    """What made this, back to the beginning: the line of policies (newest first), then the objectives it served."""
    past = ledger.ancestors(record.id)
    policies = _policies(ledger, past)
    out = []
    if policies:
        line = "; ".join(_policy(p, roles) for p in policies)
        out.append(f"Behind it {_stand(len(policies))}: {line}.")
    decided = [r for r in left(ledger, sorted(ledger.ancestors(record.id, "decided_by"))) if r.kind != "task"]
    kinds = _counted(decided)
    if kinds:
        out.append(f"Decided by: {kinds}.")
    return out


def legacy(ledger: Ledger, record: Record, roles: Roles) -> list[str]:
    """What it went into, to the end: the policies that descend from it, and the exams those were scored on."""
    ahead = descendants(ledger, record.id)
    policies = _policies(ledger, ahead)
    if not policies:
        return []
    fates = {p.id: fate_of(p.id, roles) for p in policies}
    names = [_short(p.id) + (f" ({fates[p.id]})" if fates[p.id] else "") for p in reversed(policies)]
    out = [f"Further on, {len(policies)} {'policy descends' if len(policies) == 1 else 'policies descend'} from it: "
           f"{', '.join(names)}."]  # fmt: skip
    ids = {p.id for p in policies}
    scores = [
        f"{_short(r.policy)} {r.metrics['mean@1'].value:.1%} on {r.exam.suite}"
        for r in cast(list[Report], ledger.records("report"))
        if r.policy in ids
    ]
    return [*out, f"They were examined: {', '.join(scores)}."] if scores else out


def fate_of(policy: str, roles: Roles) -> str:
    """What became of a policy, in words; empty where a gate has yet to say."""
    if roles.over and policy == roles.result:
        return "the one the run ended with"
    if policy in roles.controls:
        name = roles.controls[policy]
        return f"the control {name!r}" if name else "a control"
    passed = roles.promoted.get(policy)
    return "" if passed is None else "promoted at its gate" if passed else "refused at its gate"


def descendants(ledger: Ledger, id: str) -> set[str]:
    """Everything made from a record, directly or not."""
    seen: set[str] = set()
    frontier = {id}
    while frontier:
        frontier = {c for cs in ledger.children(frontier).values() for c in cs} - seen
        seen |= frontier
    return seen


def left(ledger: Ledger, ids: list[str]) -> list[Record]:
    """These records, without those that were redacted."""
    try:
        return ledger.records(ids=ids)
    except Redacted:  # one by one: the others are as they were
        return [r for id in ids for r in _alone(ledger, id)]


def _alone(ledger: Ledger, id: str) -> list[Record]:
    try:
        return ledger.records(ids=[id])
    except Redacted:
        return []


def _policies(ledger: Ledger, ids: set[str]) -> list[Policy]:
    """The policies among these records, newest first."""
    found = [cast(Policy, p) for p in ledger.records("policy") if p.id in ids]
    return sorted(found, key=lambda p: -int(ledger.provenance(p.id)["round"]))


def _policy(policy: Policy, roles: Roles) -> str:
    u = roles.updates.get(policy.id)
    if u is None:
        name = policy.weights.name or policy.weights.place
        where = "a judge" if policy.id in roles.judges else "where the run began"
        return f"{_short(policy.id)}, {where} ({name})"
    counts = {"solution": len(u.handed) if u.idle else len(u.solutions) + len(u.away), "task": len(u.tasks)}
    made = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items() if n)
    return f"{_short(policy.id)}, made by {u.op} in round {u.round} from {made or 'no answer'}"


def _counted(records: list[Record]) -> str:
    counts: dict[str, int] = {}
    for r in records:
        counts[r.kind] = counts.get(r.kind, 0) + 1
    return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(counts.items()))


def _stand(n: int) -> str:
    return "stands one policy" if n == 1 else f"stand {n} policies"


def _short(id: str) -> str:
    return id.split(":")[-1][:8]
