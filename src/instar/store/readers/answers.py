"""Answers that were sampled to learn from, their tasks, and what was made from them, without a record of each: a report
over 50,000 answers cannot build so many. What was redacted (its body is ``{}``) is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from instar.store.ledger import Ledger
from instar.store.pointers import left_to
from instar.store.readers.rollouts import SAMPLED

_SAMPLED = f"select id, round from ({SAMPLED}) where body <> '{{}}'"
_GONE = "select id from redacted where what = 'exchange'"
_SAID = "select id, pointers, call from records where kind = 'solution' and pointers is not null"
_DROPPED = """
select json_extract(body, '$.item') as item, op, min(rowid) as first from records
where kind = 'decision' and round between 1 and :rounds and json_extract(body, '$.kept') = 0 group by item"""
_ANSWERS = """
select id, op, round, json_extract(body, '$.task') as task, json_extract(body, '$.policy') as policy,
       json_extract(body, '$.turns') as turns, json_extract(body, '$.engine') as engine,
       json_extract(body, '$.precision') as precision, json_extract(body, '$.flags') as flags,
       json_extract(body, '$.finish') as finish, json_extract(body, '$.tokens') as tokens,
       json_extract(body, '$.memories') as memories
from records where id in (select value from json_each(:ids))"""
_CHILDREN = """
select e.parent, r.id, r.kind, r.op, r.round,
       case when r.kind = 'policy' then '{}'
            else json_insert(r.body, '$.id', r.id, '$.comment', '', '$.answer', null) end as body
from edges e join records r on r.id = e.child
where e.type = 'made_from' and e.parent in (select value from json_each(:ids)) and r.body <> '{}'
order by r.round, r.rowid"""
_TASKS = """
select r.id, json_extract(r.body, '$.ability') as ability, json_extract(r.body, '$.source') as source,
       json_extract(r.body, '$.private.answer') as gold, s.name as held
from records r left join sets s on s.task = r.id
where r.id in (select value from json_each(:ids)) and r.body <> '{}'"""
# the + keeps SQLite from beginning at every decision of the run: 40 s of 42 with 50,000 answers
_SERVED = """
select e.child as task, d.round, json_extract(d.body, '$.reason') as reason
from edges e join records d on d.id = e.parent and +d.kind = 'decision'
where e.type = 'decided_by' and e.child in (select value from json_each(:ids))"""
_MESSAGES = """
select id, json_extract(body, '$.messages') as messages from records
where id in (select value from json_each(:ids)) and body <> '{}'"""


class Sampled(NamedTuple):
    """An answer and the round it was sampled in."""

    id: str
    round: int


class Dropped(NamedTuple):
    """An item that a filter dropped: the operator, and the row of the first such decision."""

    item: str
    op: str
    first: int


class Answer(NamedTuple):
    """A solution's fields that are shown; ``turns``, ``flags`` and ``memories`` are JSON (none: None)."""

    id: str
    op: str
    round: int
    task: str
    policy: str
    turns: str
    engine: str
    precision: str
    flags: str | None
    finish: str
    tokens: int
    memories: str | None


class Child(NamedTuple):
    """What was made from ``parent``; ``body`` is the record as JSON, of a policy an empty one."""

    parent: str
    id: str
    kind: str
    op: str
    round: int
    body: str


class Asked(NamedTuple):
    """What a task is about: its right answer, where one is known, and the set it is in."""

    id: str
    ability: str
    source: str
    gold: Any
    held: str | None


class Served(NamedTuple):
    """Why a task was chosen, in which round."""

    task: str
    round: int
    reason: str


class Shown(NamedTuple):
    """The messages of a task, as JSON."""

    id: str
    messages: str


def sampled(ledger: Ledger) -> list[Sampled]:
    """Every answer that is not an exam's."""
    found = ledger._select(Sampled, _SAMPLED)
    gone = {id for (id,) in ledger._stream(_GONE)} if ledger.columns("redacted") else set()
    if not gone:
        return found
    without = {  # what they say stood in a model call that is gone
        id for id, pointers, call in ledger._stream(_SAID)
        if any(said.exchange in gone for said in left_to(pointers, call).values())
    }  # fmt: skip
    return [s for s in found if s.id not in without]


def dropped(ledger: Ledger, rounds: int) -> list[Dropped]:
    """What filters dropped up to a round, in the order of the first decision against each item."""
    return sorted(ledger._select(Dropped, _DROPPED, rounds=rounds), key=lambda r: int(r.first))


def answers(ledger: Ledger, ids: Sequence[str]) -> dict[str, Answer]:
    """These answers, by id."""
    return {r.id: r for r in ledger._select(Answer, _ANSWERS, ids=ids)}


def children(ledger: Ledger, ids: Sequence[str]) -> list[Child]:
    """What was made from these answers, by round and then as it was stored."""
    return ledger._select(Child, _CHILDREN, ids=ids)


def tasks(ledger: Ledger, ids: Sequence[str]) -> dict[str, Asked]:
    """These tasks, by id."""
    return {r.id: r for r in ledger._select(Asked, _TASKS, ids=ids)}


def served(ledger: Ledger, ids: Sequence[str]) -> list[Served]:
    """Each time that one of these tasks was chosen for an objective."""
    return ledger._select(Served, _SERVED, ids=ids)


def shown(ledger: Ledger, ids: Sequence[str]) -> list[Shown]:
    """What a model is shown of each of these tasks."""
    return ledger._select(Shown, _MESSAGES, ids=ids)
