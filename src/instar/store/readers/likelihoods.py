"""How likely policies found texts, as it was measured."""

from __future__ import annotations

from typing import NamedTuple

from instar.records import Likelihood
from instar.store.ledger import Ledger

_LIKELIHOODS = "select id, body from records where kind = 'likelihood' order by rowid"


class _Stored(NamedTuple):
    id: str
    body: str


def likelihoods(ledger: Ledger) -> list[Likelihood]:
    """Every one, in the order in which they were made, with its id."""
    return [
        Likelihood.model_validate_json(r.body).model_copy(update={"id": r.id})
        for r in ledger._select(_Stored, _LIKELIHOODS)
    ]
