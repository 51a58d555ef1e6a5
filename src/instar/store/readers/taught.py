"""What can be meant by the beginning of an id where something has to go, and which answers hang on it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from instar.store.ledger import Ledger

_BEGINS = """
select id from records where id >= :low and id < :high
union all select key from journal where key >= :low and key < :high
union all select key from borders where key >= :low and key < :high
union all select digest from messages where digest >= :low and digest < :high
union all select digest from prompts where digest >= :low and digest < :high
union all select call || ' ' || key from inner_steps where call || ' ' || key >= :low and call || ' ' || key < :high
limit 20"""
_ANSWERS = """
with recursive held(digest) as (
    select value from json_each(:ids) union select m.digest from held join messages m on m.before = held.digest),
  called(call) as (
    select call from journal where key in (select value from json_each(:ids)) or messages in (select digest from held)
      or prompt in (select value from json_each(:ids))
    union select call from borders where key in (select value from json_each(:ids))),
  down(id) as (
    select value from json_each(:ids)
    union select r.id from called join records r on r.call = called.call where r.kind = 'solution'
    union select c.id from down join records p on p.id = down.id join links l on l.parent = p.n and l.type = 1
      join records c on c.n = l.child where c.kind in ('solution', 'feedback'))
select r.id from down join records r on r.id = down.id where r.kind = 'solution'"""


class _Id(NamedTuple):
    id: str


def begins(ledger: Ledger, prefix: str) -> list[str]:
    """The ids of all that lies in a ledger and begins so (with or without the scheme ``i1:``), at most 20."""
    like = prefix if ":" in prefix else f"i1:{prefix}"
    return [r.id for r in ledger._select(_Id, _BEGINS, low=like, high=f"{like}\uffff")]


def answers_on(ledger: Ledger, ids: Collection[str]) -> set[str]:
    """The answers among these ids, and those that were given to, shown, or made from what they name."""
    return {r.id for r in ledger._select(_Id, _ANSWERS, ids=list(ids))}
