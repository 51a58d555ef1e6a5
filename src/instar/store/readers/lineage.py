"""What kinds of records some ids are, in which order they came, and which sets a policy descends from."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from instar.store.ledger import Ledger

_KINDS = "select id, kind from records where id in (select value from json_each(:ids))"
_IN_TIME = "select id from records where id in (select value from json_each(:ids)) order by rowid"
_SETS = """
with recursive up(id) as (
  select parent from edges where child = :policy and type = 'made_from'
  union select e.parent from edges e join up on e.child = up.id where e.type = 'made_from')
select name, count(*) as n from up join sets on sets.task = up.id group by name order by name"""

_REFERENCES = """
select r.id as policy, j.value as reference
from records r, json_each(r.inputs) j join records p on p.id = j.value and p.kind = 'policy'
where r.kind = 'policy' and j.key > 0 and j.value <> json_extract(r.inputs, '$[0]')"""


class _Reference(NamedTuple):
    policy: str
    reference: str


class _Kind(NamedTuple):
    id: str
    kind: str


class _Id(NamedTuple):
    id: str


class _Tasks(NamedTuple):
    name: str
    n: int


def kinds(ledger: Ledger, ids: Collection[str]) -> dict[str, str]:
    """Id to kind, of those of these records that are there."""
    return {r.id: r.kind for r in ledger._select(_Kind, _KINDS, ids=sorted(ids))}


def in_time(ledger: Ledger, ids: Collection[str]) -> list[str]:
    """These ids in the order in which their records were stored."""
    return [r.id for r in ledger._select(_Id, _IN_TIME, ids=list(ids))]


def sets_behind(ledger: Ledger, policy: str) -> dict[str, int]:
    """How many tasks of each set are among a policy's ancestors."""
    return {r.name: r.n for r in ledger._select(_Tasks, _SETS, policy=policy)}


def references(ledger: Ledger) -> frozenset[tuple[str, str]]:
    """(policy, reference): every policy that was made with others at hand to be held against, and those. The one that
    it was made from, which stands first among its inputs, is none of them."""
    return frozenset((r.policy, r.reference) for r in ledger._select(_Reference, _REFERENCES))
