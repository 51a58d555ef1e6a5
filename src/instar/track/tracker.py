"""What a tracker is: something outside that shows figures of a run over its rounds.

A tracker is told what the ledger already holds. It decides nothing, and a run goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol


class Point(NamedTuple):
    """One figure. ``step`` is the round (0: before the first), of a training loss the training step over all rounds;
    ``at`` is when the ledger had it, in seconds since 1970."""

    name: str
    step: int
    value: float
    at: float


class Told(NamedTuple):
    """What a tracker is told of a run when it is opened."""

    name: str
    id: str
    """Drawn when the run was first tracked; the same in every session."""
    project: str
    folder: Path
    """Where trackers write; all runs share it."""
    config: Mapping[str, str]
    """Every setting by its dotted path."""
    versions: Mapping[str, str]


class Tracker(Protocol):
    """An open tracker, used from one thread. Whatever it raises is said in one line and ends it for the session."""

    replaces: ClassVar[bool]
    """Whether a point that is sent again takes its own place. If not, points that were being sent when the run was
    killed are not sent again: some may be missing, none is there twice."""

    def send(self, points: Sequence[Point], before: int) -> None:
        """Store these points. ``before`` counts the points sent before, over all sessions."""
        ...

    def close(self) -> None: ...
