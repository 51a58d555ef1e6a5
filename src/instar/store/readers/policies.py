"""The policies of a run, as they were stored: each with the operator and the call that made it."""

from __future__ import annotations

from typing import NamedTuple

from instar.records import Policy
from instar.store.ledger import Ledger
from instar.store.schema import LASTING

_STORED = f"select id, round, op, body from records where {LASTING} order by rowid"
_ORIGINS = f"select id, op, call from records where {LASTING}"
_FIRST = "select body from records where kind = 'policy' and call = 'start' and op = :op order by rowid limit 1"


class Stored(NamedTuple):
    """A policy with the round and the operator that made it first; ``body`` is the record as JSON."""

    id: str
    round: int
    op: str
    body: str


class Origin(NamedTuple):
    """Which operator made a policy, in which call (``start``: what a run began with)."""

    id: str
    op: str
    call: str


class _Body(NamedTuple):
    body: str


def stored(ledger: Ledger) -> list[Stored]:
    """Every policy, in the order they were made."""
    return ledger._select(Stored, _STORED)


def origins(ledger: Ledger) -> list[Origin]:
    """Where every policy comes from."""
    return ledger._select(Origin, _ORIGINS)


def begun_with(ledger: Ledger, op: str) -> Policy | None:
    """The first policy that stands in a run's start under this operator; None where there is none."""
    rows = ledger._select(_Body, _FIRST, op=op)
    return Policy.model_validate_json(rows[0].body) if rows else None
