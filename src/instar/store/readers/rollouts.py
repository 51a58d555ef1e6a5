"""Rollouts inside updates: the answers that half-trained policies gave, which are a step of their own.

An answer's id has no round (it hangs on the update and on the name of the rollout); the step has it. So whoever means
"sampled to learn from" asks ``SAMPLED``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from instar.store.ledger import Ledger

MADE = """
from steps s join calls c on c.step = s.key and c.status = 'finished' join json_each(c.outputs) o
join records r on r.id = o.value"""
"""What rollouts made: to be followed by ``where s.verb = 'rollout'`` and a kind of record ``r``."""
SAMPLED = f"""
select id, round, body from records where kind = 'solution' and round > 0
union all select r.id, s.round, r.body {MADE} where s.verb = 'rollout' and r.kind = 'solution'"""
"""Every answer that was sampled to learn from (no exam's), with its round."""
_POLICY = """coalesce(json_extract(r.body, '$.policy'), (select p.id from edges e
  join records p on p.id = e.parent and p.kind = 'policy' where e.child = r.id and e.type = 'made_from')) as policy"""
"""Who gave an answer; of one that was redacted its edges tell it."""
_CALLS = f"""
select c.key, s.op, s.round, c.item, {_POLICY}, json_extract(r.inputs, '$[2]') as name
from steps s join calls c on c.step = s.key join records r on r.id = json_extract(c.outputs, '$[0]')
where s.verb = 'rollout' and r.kind = 'solution' order by c.rowid"""
_UPDATES = """
select s.op, s.round, c.item from steps s join calls c on c.step = s.key where s.verb = 'update'"""
_WORKING = "select distinct round from steps where verb = 'update' and not finished"
_INNER = "select distinct call from inner_steps"
_OF_STEP = "select item, outputs from calls where step = :step and status = 'finished'"
_OVER = """
select s.key as step, c.key, c.item, json_extract(r.body, '$.policy') as policy,
       json_extract(r.inputs, '$[2]') as name, min(c.rowid) as first
from steps s join calls c on c.step = s.key and c.status = 'finished'
join records r on r.id = json_extract(c.outputs, '$[0]')
where s.verb = 'rollout' and s.finished and s.round = :round and s.op = :op and r.kind = 'solution'
group by s.key order by s.seq"""
_SIGNS = """
select s.id as solution, p.id as policy, max(l.sign) as sign from json_each(:ids) i
cross join records s on s.id = i.value join learned l on l.solution = s.n join records p on p.n = l.policy
group by s.id, p.id order by p.n"""
_UNDER = f"""
select r.id, json_extract(r.inputs, '$[2]') as name, {_POLICY}
from json_each(:ids) i cross join records r on r.id = i.value
join calls c on c.key = r.call join steps s on s.key = c.step where s.verb = 'rollout'"""


class Call(NamedTuple):
    """A call of a rollout: its task, and the policy and the rollout's name as its first answer has them."""

    key: str
    op: str
    round: int
    item: str
    policy: str
    name: str


class Over(NamedTuple):
    """A rollout that is over, with its first call as ``Call`` has it."""

    step: str
    key: str
    item: str
    policy: str
    name: str
    first: int


class Updated(NamedTuple):
    """The call of an update."""

    op: str
    round: int
    item: str


class Sign(NamedTuple):
    """A policy that was trained toward (1) or away from (-1) an answer."""

    solution: str
    policy: str
    sign: int


class Rolled(NamedTuple):
    """An answer of a rollout: the rollout's name, and the policy that gave it, as it then was."""

    id: str
    name: str
    policy: str


class _Round(NamedTuple):
    round: int


class _Inner(NamedTuple):
    call: str


class _Call(NamedTuple):
    item: str
    outputs: str


def calls(ledger: Ledger) -> list[Call]:
    """The calls of all rollouts that gave an answer, in the order they were stored."""
    return ledger._select(Call, _CALLS)


def over(ledger: Ledger, round: int, op: str) -> list[Over]:
    """The rollouts of this round by this operator that are over, in the order they were begun."""
    return ledger._select(Over, _OVER, round=round, op=op)


def updates(ledger: Ledger) -> list[Updated]:
    """The calls of updates that ended."""
    return ledger._select(Updated, _UPDATES)


def working(ledger: Ledger) -> frozenset[int]:
    """The rounds with an update that has not ended."""
    return frozenset(r.round for r in ledger._select(_Round, _WORKING))


def inner(ledger: Ledger) -> list[str]:
    """What the inner steps of updates hang on: the keys that rollouts hang on too."""
    return [r.call for r in ledger._select(_Inner, _INNER)]


def made_in(ledger: Ledger, step: str) -> dict[str, list[str]]:
    """Task to the ids of what its call in a step made."""
    return {r.item: json.loads(r.outputs) for r in ledger._select(_Call, _OF_STEP, step=step)}


def signs(ledger: Ledger, ids: Sequence[str]) -> list[Sign]:
    """Which policies learned from these answers, in the order they were made. None is known of a policy that an older
    instar made."""
    return ledger._select(Sign, _SIGNS, ids=list(ids)) if ledger.columns("learned") else []


def rolled(ledger: Ledger, ids: Sequence[str]) -> dict[str, Rolled]:
    """Those of these answers that a rollout made."""
    return {r.id: r for r in ledger._select(Rolled, _UNDER, ids=list(ids))}
