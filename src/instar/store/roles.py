"""Which of a run's policies is what: base, result, control, judge, candidate; and what each was trained on.

Everything that names a policy to a reader asks here, so that a control or a refused candidate is nowhere taken for the
result. It works for a run that is not over too: its result is then what a gate let pass last, else the base.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from instar.records import hash_of
from instar.store.ledger import Ledger
from instar.store.schema import LASTING

_POLICIES = f"""
select id, op, round, call, json_extract(body, '$.parent') as parent, inputs
from records where {LASTING} order by rowid"""
_VERDICTS = """
select json_extract(body, '$.candidate') as candidate, json_extract(body, '$.promoted') as promoted
from records where kind = 'verdict' order by rowid"""
_KINDS = """
select value as id, kind from json_each(:ids) join records on records.id = value order by json_each.key"""
_LEARNED = """
select p.id as policy, s.id as solution, max(l.sign) as sign from learned l
join records p on p.n = l.policy join records s on s.n = l.solution
group by l.policy, l.solution order by l.policy, l.solution"""
_SAID = """
select p.id as policy from records p join inner_steps i on i.call = p.call and i.key = 'learned'
where p.kind = 'policy'"""
_UNMOVED = """
select count(*) as n from calls c join steps s on s.key = c.step
where s.verb = 'update' and c.status = 'finished' and c.outputs = :outputs"""


class _Policy(NamedTuple):
    id: str
    op: str
    round: int
    call: str
    parent: str | None
    inputs: str


class _Verdict(NamedTuple):
    candidate: str
    promoted: int


class _Kind(NamedTuple):
    id: str
    kind: str


class _Learned(NamedTuple):
    policy: str
    solution: str
    sign: int


class _Said(NamedTuple):
    policy: str


class _Count(NamedTuple):
    n: int


@dataclass(frozen=True)
class Update:
    """How a policy was made, the first time: from which policy, answers and tasks, by which operator, in which round.

    ``solutions`` are the answers that it was trained toward, and ``away`` those it was trained away from: not what
    these were made from in their turn, the wrong draft of a correction is no part of them. They are what the update
    said that it learned, and in a ledger of an older instar the answers that it was handed: one that rolled out by
    itself has tasks alone there. An update that showed, remembered or merged moved no weight toward any: it has
    neither, and what it was ``handed``."""

    policy: str
    parent: str | None
    op: str
    round: int
    solutions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    rolled_out: bool = False
    """Whether the answers are not such as it was handed, but its own rollouts."""
    handed: tuple[str, ...] = ()
    """The answers that the update was handed, whether anything was learned from them or not."""

    @property
    def idle(self) -> bool:
        """Whether it was handed answers and trained no weight on any."""
        return bool(self.handed) and not self.solutions and not self.away


@dataclass(frozen=True)
class Roles:
    """The policies of a run by what they are."""

    over: bool
    """Whether the run is finished, so that its result is known."""
    last_round: int = 0
    """How many rounds the config asks for; what is made after the last is made to compare with."""
    base: str | None = None
    result: str | None = None
    """What the run ended with; of one that is not over, what it would end with now."""
    judges: frozenset[str] = frozenset()
    controls: Mapping[str, str] = field(default_factory=dict)
    """Policy to the control's name; the name is empty while the run is not over."""
    promoted: Mapping[str, bool] = field(default_factory=dict)
    """Policy to what a gate said of it last. One that came to no gate is missing."""
    updates: Mapping[str, Update] = field(default_factory=dict)
    """Policy to how it was made, oldest first. What a run began with and its judges are missing."""

    def of(self, policy: str) -> list[str]:
        """A policy's roles in words; empty for a candidate."""
        roles = ["base"] if policy == self.base else []
        roles += ["final"] if self.over and policy == self.result else []
        if policy in self.controls:
            name = self.controls[policy]
            roles.append(f"control: {name}" if name else "control")
        return roles + (["judge"] if policy in self.judges else [])

    def line(self, policy: str | None = None) -> list[Update]:
        """The updates that a policy's weights went through (the result's, if none is named), newest first."""
        out: list[Update] = []
        at = self.result if policy is None else policy
        while at is not None and at in self.updates and at not in [u.policy for u in out]:
            out.append(self.updates[at])
            at = out[-1].parent
        return out

    @property
    def candidates(self) -> list[Update]:
        """The updates that were made to be promoted, oldest first."""
        return [u for id, u in self.updates.items() if id not in self.controls or id in self.promoted]


def roles_of(ledger: Ledger) -> Roles:
    """What each policy of a run is."""
    about = ledger.about()
    result, config = json.loads(about.get("result", "{}")), json.loads(about.get("resolved", "{}"))
    rows = ledger._select(_Policy, _POLICIES)
    begun = [r for r in rows if r.call == "start"]
    judging = hash_of("model", config["judge_model"]) if config.get("judge_model") else None
    # the base is stored before the judge; where one model is both, it is stored once
    judges = frozenset(r.id for r in begun[1:] if r.op == judging)
    base = result.get("base") or next((r.id for r in begun), None)
    promoted = {r.candidate: bool(r.promoted) for r in ledger._select(_Verdict, _VERDICTS)}
    names = {i: o["name"] for i, o in ledger.ops().items()}
    learned: dict[str, dict[str, int]] = {}
    if ledger.columns("learned"):  # of a policy whose update said that it learned nothing there is no row
        learned = {r.policy: {} for r in ledger._select(_Said, _SAID)}
    for row in ledger._select(_Learned, _LEARNED) if ledger.columns("learned") else ():
        learned.setdefault(row.policy, {})[row.solution] = row.sign
    updates = {r.id: _update(ledger, r, names, learned.get(r.id)) for r in rows if r.call != "start"}
    last = int(config.get("rounds") or 0)
    controls = {id: "" for id, u in updates.items() if last and u.round > last}
    controls |= {id: name for name, id in result.get("controls", {}).items()}
    standing = [id for id, passed in promoted.items() if passed]
    ended = result.get("final") or (standing[-1] if standing else base)
    return Roles(bool(result), last, base, ended, judges, controls, promoted, updates)


def unmoved(ledger: Ledger, policy: str) -> int:
    """How many updates came out as this very policy, which was there before: training that changed nothing."""
    outputs = json.dumps([policy])
    return int(ledger._select(_Count, _UNMOVED, outputs=outputs)[0].n)


def _update(ledger: Ledger, row: _Policy, names: Mapping[str, str], learned: Mapping[str, int] | None) -> Update:
    kinds = ledger._select(_Kind, _KINDS, ids=json.loads(row.inputs))
    solutions, tasks = (tuple(k.id for k in kinds if k.kind == kind) for kind in ("solution", "task"))
    handed = dict.fromkeys(solutions)
    if learned is not None:
        known = dict.fromkeys([*(s for s in handed if s in learned), *learned])  # as handed, then as they came
        solutions, away = (tuple(s for s in known if (learned[s] > 0) is toward) for toward in (True, False))
    else:
        away = ()
    return Update(
        row.id, row.parent, names.get(row.op, row.op), int(row.round), solutions, tasks, away,
        rolled_out=not handed and bool(tasks), handed=tuple(handed),
    )  # fmt: skip
