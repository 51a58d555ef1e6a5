"""The tasks of a run, in four sets that have nothing in common."""

from __future__ import annotations

from dataclasses import dataclass

from instar.records import Task


@dataclass(frozen=True)
class Sets:
    """The four disjoint sets. Gate items are fresh each round; train is dealt out over the rounds."""

    train: tuple[Task, ...]
    dev: tuple[Task, ...]
    gate: tuple[Task, ...]
    sealed: tuple[Task, ...]

    def share(self, name: str, round: int, rounds: int) -> tuple[Task, ...]:
        """The part of a set that belongs to one round (rounds count from 1)."""
        tasks: tuple[Task, ...] = getattr(self, name)
        size = len(tasks) // rounds
        return tasks[(round - 1) * size : round * size] if round < rounds else tasks[(round - 1) * size :]
