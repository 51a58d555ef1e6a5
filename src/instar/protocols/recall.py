"""What is looked for in a policy's memory, and what is found there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from instar.records import Note, Policy


class Query(NamedTuple):
    """What is looked for. Empty ``kinds`` and ``trust`` and no ``who`` leave nothing out; ``who`` "" leaves
    every person's notes out, so that those are found that are nobody's."""

    text: str
    k: int = 1
    kinds: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    who: str | None = None
    now: float | None = None
    """The day that it is: later notes are left out, and earlier ones have faded. None: time plays no part."""
    floor: float = 0.0
    """What scores lower does not fit."""
    lexical: float = 0.5
    days: float = 100.0
    """How long a note of strength 1 is remembered (``instar.memory.value``)."""
    characters: int = 2_000
    """What all that is found may come to: a note that would be too much is left out."""


class Found(NamedTuple):
    """A note that fits, and how well."""

    note: Note
    score: float


@runtime_checkable
class Recalls(Protocol):
    """What a model at hand inside a call offers besides: to look into its policy's memory. See ``memory.at_hand``."""

    policy: Policy

    async def recall(self, query: Query) -> Sequence[Found]: ...
