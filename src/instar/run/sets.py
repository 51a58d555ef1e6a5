"""The tasks of a run, in four sets and as many suites as its config names, that have nothing in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from instar.errors import StepFailed
from instar.protocols import Op
from instar.records import Report, Task, suite_kind


@dataclass(frozen=True)
class Sets:
    """The four disjoint sets. Gate items are fresh each round; train is dealt out over the rounds."""

    train: tuple[Task, ...]
    dev: tuple[Task, ...]
    gate: tuple[Task, ...]
    sealed: tuple[Task, ...]
    gaps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By set, the places of tasks that were left out: the other tasks stay in the rounds that they were in."""
    suites: Mapping[str, tuple[Task, ...]] = field(default_factory=dict)
    """``guard:NAME`` and ``attack:NAME``: examined at the end, and shown to nothing that steers or learns."""

    def held_out(self) -> dict[str, tuple[Task, ...]]:
        """What no policy may learn from, by name: dev, gate, sealed and the suites."""
        return {"dev": self.dev, "gate": self.gate, "sealed": self.sealed, **self.suites}

    def examined(self) -> list[str]:
        """The questions of what a policy is measured or chosen on: dev, gate, sealed and the suites."""
        return [t.question for own in self.held_out().values() for t in own]

    def among_suites(self, tasks: Iterable[Task]) -> list[str]:
        """The suites that any of these tasks stands in."""
        if not self.suites:
            return []
        of = {t.id: name for name, own in self.suites.items() for t in own}
        return list(dict.fromkeys(of[t.id] for t in tasks if t.id in of))

    def guard_part(self, name: str, round: int) -> tuple[Task, ...]:
        """The tasks of a suite that candidates of a round are examined on: of its three parts the second and the third
        in turn, so that what passed on one must pass on the other. The first is ``untouched``."""
        return self.suites[name][1 + (round - 1) % 2 :: 3]

    def untouched(self, name: str) -> tuple[Task, ...]:
        """The tasks of a suite that nothing was decided by: they are examined once, at the end."""
        return self.suites[name][::3]

    def without(self, tasks: Collection[str]) -> Sets:
        """These sets less some tasks, by id."""
        kept: dict[str, tuple[Task, ...]] = {}
        gaps: dict[str, tuple[int, ...]] = {}
        for name in ("train", "dev", "gate", "sealed"):
            whole: tuple[Task, ...] = getattr(self, name)
            kept[name] = tuple(t for t in whole if t.id not in tasks)
            gaps[name] = tuple(i for i, t in enumerate(whole) if t.id in tasks)
        suites = {name: tuple(t for t in whole if t.id not in tasks) for name, whole in self.suites.items()}
        return Sets(kept["train"], kept["dev"], kept["gate"], kept["sealed"], gaps, suites)

    def share(self, name: str, round: int, rounds: int) -> tuple[Task, ...]:
        """The part of a set that belongs to one round (rounds count from 1)."""
        tasks: tuple[Task, ...] = getattr(self, name)
        gaps = self.gaps.get(name, ())
        whole = len(tasks) + len(gaps)
        size = whole // rounds
        ends = (round - 1) * size, round * size if round < rounds else whole
        first, last = (end - sum(gap < end for gap in gaps) for end in ends)
        return tasks[first:last]


def kept_apart(op: Op, suites: Sequence[str], reports: Sequence[Report] = ()) -> None:
    """Raises StepFailed where an operator that steers or learns would see a suite: what it says of a run would then
    be what the run was tuned to."""
    found = [*suites, *(r.exam.suite for r in reports if suite_kind(r.exam.suite))]
    if found:
        raise StepFailed(
            f"{op.name} ({op.slot}) was handed the suite {found[0]}: suites are examined at the end, and nothing else.",
            "Hand it tasks of train, or a report on dev.",
        )
