"""The tasks of a run, in four sets that have nothing in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from instar.records import Task


@dataclass(frozen=True)
class Sets:
    """The four disjoint sets. Gate items are fresh each round; train is dealt out over the rounds."""

    train: tuple[Task, ...]
    dev: tuple[Task, ...]
    gate: tuple[Task, ...]
    sealed: tuple[Task, ...]
    gaps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By set, the places of tasks that were left out: the other tasks stay in the rounds that they were in."""

    def without(self, tasks: Collection[str]) -> Sets:
        """These sets less some tasks, by id."""
        kept: dict[str, tuple[Task, ...]] = {}
        gaps: dict[str, tuple[int, ...]] = {}
        for name in ("train", "dev", "gate", "sealed"):
            whole: tuple[Task, ...] = getattr(self, name)
            kept[name] = tuple(t for t in whole if t.id not in tasks)
            gaps[name] = tuple(i for i, t in enumerate(whole) if t.id in tasks)
        return Sets(kept["train"], kept["dev"], kept["gate"], kept["sealed"], gaps)

    def share(self, name: str, round: int, rounds: int) -> tuple[Task, ...]:
        """The part of a set that belongs to one round (rounds count from 1)."""
        tasks: tuple[Task, ...] = getattr(self, name)
        gaps = self.gaps.get(name, ())
        whole = len(tasks) + len(gaps)
        size = whole // rounds
        ends = (round - 1) * size, round * size if round < rounds else whole
        first, last = (end - sum(gap < end for gap in gaps) for end in ends)
        return tasks[first:last]
