"""Which artefacts a record needs: every digest that it reaches over its typed fields, nested ones too.

Who throws artefacts away, and who checks what a ledger names, both ask here. A digest that a text only mentions (a
prompt, an answer, a reason) is no part of it: what is needed stands in a field that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from instar.records import KINDS, Policy, Weights
from instar.store.ledger import Ledger

DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
TEXTS: dict[type[BaseModel], tuple[str, ...]] = {Policy: ("adapters", "memory")}
"""Fields that name artefacts without being ``Weights``: a digest, or a text that ends in one (``table@digest``)."""


def reach(value: Any) -> frozenset[str]:
    """The digests of all artefacts that a record (or a part of one) needs."""
    return frozenset(filter(DIGEST.fullmatch, names(value)))


def names(value: Any) -> Iterator[str]:
    """As ``reach``, and what stands in a digest's place and is none: so that it can be said to be none."""
    if isinstance(value, Weights):
        if value.place == "artefact":
            yield value.digest
        return
    if isinstance(value, BaseModel):
        texts = next((fields for kind, fields in TEXTS.items() if isinstance(value, kind)), ())
        for field in type(value).model_fields:
            of = getattr(value, field)
            yield from _texts(of) if field in texts else names(of)
    elif isinstance(value, Mapping):
        for part in (*value.keys(), *value.values()):
            yield from names(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from names(part)


def reach_of(ledger: Ledger, kind: str) -> dict[str, frozenset[str]]:
    """Id of each record of a kind to the digests that it reaches."""
    return {r.id: reach(r) for r in ledger.records(kind)}


@cache
def reaching() -> tuple[str, ...]:
    """The kinds of records that can name an artefact at all, by their fields' types: of the others none is read."""
    return tuple(kind for kind, cls in KINDS.items() if holds_weights(cls))


def holds_weights(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type can have weights, or one of the fields of ``TEXTS``, anywhere in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, (Weights, *TEXTS)):
            return True
        if annotation in seen:
            return False
        seen |= {annotation}
        return any(holds_weights(field.annotation, seen) for field in annotation.model_fields.values())
    return any(holds_weights(part, seen) for part in get_args(annotation))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from DIGEST.findall(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
