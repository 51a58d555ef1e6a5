"""A memory as a value: notes in segments, and over them the state of those that changed. Every change makes a new one.

Forgetting is the curve of MemoryBank (Zhong et al., arXiv 2305.10250, section 2.3): R = exp(-t / S), t the days since a
note was last recalled (or made), S its strength, which is 1 at first and grows by 1 with each recall. As the paper has
it, not as its code, which computes exp(-t * S / 5): there a stronger note fades faster. Departures: R orders and never
draws lots; one strength lasts ``days`` (the paper: 1).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from instar.records import Note

LARGEST = 4_096
"""Notes of one segment."""


class State(BaseModel):
    """What became of a note in one memory. What has the defaults is kept nowhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = Field(default=1.0, gt=0)
    recalled: float | None = None
    """The day of its last recall."""
    pinned: bool = False
    """Never forgotten by itself."""
    superseded_by: str | None = None
    """The later note that contradicts it: it is history then, and no longer recalled."""
    gone: str | None = None
    """Why it was forgotten (a tombstone)."""

    @property
    def live(self) -> bool:
        return self.superseded_by is None and self.gone is None


FRESH = State()


@dataclass(frozen=True)
class Memory:
    """Segments of notes (the oldest first), the states that differ from ``FRESH``, and the embedder it is searched by.

    A candidate that adds notes shares all segments but its own with its parent.
    """

    segments: tuple[tuple[Note, ...], ...] = ()
    states: Mapping[str, State] = field(default_factory=dict)
    embedder: str = "words"

    @cached_property
    def notes(self) -> dict[str, Note]:
        """Every note by id, those that no longer hold too."""
        return {n.id: n for segment in self.segments for n in segment}

    def state(self, id: str) -> State:
        return self.states.get(id, FRESH)

    def live(self) -> Iterator[Note]:
        """The notes that may be recalled."""
        return (n for n in self.notes.values() if self.state(n.id).live)

    def __len__(self) -> int:
        return sum(len(segment) for segment in self.segments)


def insert(memory: Memory, notes: Iterable[Note]) -> Memory:
    """The memory with these notes; one that is there already, forgotten or not, changes nothing.

    New notes are a segment of their own. A segment that is no longer than the one after it is joined with it, up to
    ``LARGEST``: so there are few, and old, large ones stay as they are.
    """
    new = list({n.id: n for n in notes if n.id not in memory.notes}.values())
    segments = list(memory.segments)
    for start in range(0, len(new), LARGEST):
        segments.append(tuple(new[start : start + LARGEST]))
        while len(segments) > 1 and len(segments[-2]) <= len(segments[-1]) <= LARGEST - len(segments[-2]):
            segments[-2:] = [segments[-2] + segments[-1]]
    return replace(memory, segments=tuple(segments)) if new else memory


def without(memory: Memory, ids: Collection[str]) -> Memory:
    """The memory as if these notes had never been in it: what gave way to one of them holds again."""
    segments = (tuple(n for n in segment if n.id not in ids) for segment in memory.segments)
    back = {id: s.model_copy(update={"superseded_by": None}) for id, s in memory.states.items()
            if s.superseded_by in ids}  # fmt: skip
    states = {id: s for id, s in {**memory.states, **back}.items() if id not in ids and s != FRESH}
    return replace(memory, segments=tuple(s for s in segments if s), states=states)


def changed(memory: Memory, states: Mapping[str, State]) -> Memory:
    """The memory with these states of notes. Raises KeyError for a note that it does not have."""
    for id in states:
        memory.notes[id]
    after = {id: s for id, s in {**memory.states, **states}.items() if s != FRESH}
    return memory if after == dict(memory.states) else replace(memory, states=after)


def supersede(memory: Memory, by: Mapping[str, str]) -> Memory:
    """The memory in which each of these notes gave way to a later one, by id."""
    for later in by.values():
        memory.notes[later]
    return changed(memory, {id: memory.state(id).model_copy(update={"superseded_by": by[id]}) for id in by})


def strengthen(memory: Memory, recalled: Mapping[str, tuple[int, float | None]]) -> Memory:
    """The memory after these notes were recalled: id to (how often, the last day). S <- S + 1 and t <- 0 each time."""
    states = {}
    for id, (times, day) in recalled.items():
        was = memory.state(id)
        days = [d for d in (was.recalled, day) if d is not None]
        states[id] = was.model_copy(update={"strength": was.strength + times, "recalled": max(days) if days else None})
    return changed(memory, states)


def forget(memory: Memory, why: Mapping[str, str]) -> Memory:
    """The memory without these notes, by id, each with the reason. The note itself stays where it is kept."""
    return changed(memory, {id: memory.state(id).model_copy(update={"gone": reason}) for id, reason in why.items()})


def pin(memory: Memory, ids: Iterable[str], *, pinned: bool = True) -> Memory:
    """The memory in which these notes are never forgotten by themselves."""
    return changed(memory, {id: memory.state(id).model_copy(update={"pinned": pinned}) for id in ids})


def retention(note: Note, state: State, now: float | None, days: float) -> float:
    """R = exp(-t / S), from 0 to 1; 1 where a day is not known, and for a pinned note. ``days``: what one strength
    lasts."""
    since = state.recalled if state.recalled is not None else note.when
    if now is None or since is None or state.pinned:
        return 1.0
    return math.exp(-max(0.0, now - since) / (state.strength * days))


def faded(memory: Memory, now: float, floor: float, days: float) -> dict[str, float]:
    """The live notes whose retention is below the floor, by id, with it."""
    found = {n.id: retention(n, memory.state(n.id), now, days) for n in memory.live()}
    return {id: r for id, r in found.items() if r < floor}
