"""Replay: earlier answers that are learned again beside the new ones, chosen from what was learned, written or given.

Source: methods.md 3.1 (a share of 0.1 to 0.3, abilities alike; the older the store, the more it must be bounded). The
reservoir is Vitter's algorithm R (ACM TOMS 11, 1985): every earlier answer has the same chance to be in the store,
however many there were. ``forgotten`` is after "what was right and now is wrong".
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from instar.acquire.tasks.table import Table
from instar.errors import ConfigError
from instar.protocols import Replay, Solve, Source
from instar.records import Decision, Experience, Task, hash_of


class Mixed(Replay):
    """So much of the earlier that it is ``ratio`` of all that is learned, abilities alike.

    Earlier is what the policy and those before it were trained toward (``learned``), and the ``rows`` of a file of
    questions and answers; with ``writes`` the run's base answers these questions itself, and that is learned: general
    data of its own, which costs one sampling. ``choose``: ``random``; ``reservoir``, out of a store of at most
    ``capacity`` answers that each earlier one is in with the same chance; ``forgotten``, those that the policy answers
    wrong now, out of ``capacity`` that it is asked again (where there are fewer, fewer are replayed).

    Raises ConfigError if there is nothing to take from, or ``rows`` is no single file.
    """

    name: ClassVar[str] = "replay"

    ratio: float = Field(default=0.2, gt=0, lt=1)
    choose: Literal["random", "reservoir", "forgotten"] = "random"
    learned: bool = True
    rows: Source | None = None
    writer: Solve | None = None
    capacity: int = Field(default=500, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _takes_from_something(self) -> Mixed:
        if not self.learned and self.rows is None:
            raise ValueError("it takes from nothing: set learned, or give rows")
        if self.writer is not None and self.rows is None:
            raise ValueError("writer answers the questions of rows, and there are none")
        return self

    def brought(self) -> Sequence[tuple[Task, str]]:
        if self.rows is None:
            return ()
        if not isinstance(self.rows, Table) or not getattr(self.rows, self.rows.whole):
            raise ConfigError(
                f"replay takes the rows of one file, and {self.rows.name} is none.",
                'Give rows = { op = "jsonl", path = "FILE.jsonl" }.',
            )
        return [(task, str(task.private["answer"])) for task in self.rows.distinct()]

    def writes(self) -> Solve | None:
        return self.writer

    def asks_again(self, past: Sequence[Experience]) -> Sequence[Experience]:
        if self.choose != "forgotten":
            return ()
        one_a_task = list({e.task.id: e for e in past}.values())
        return [one_a_task[i] for i in _reservoir(len(one_a_task), self.capacity, self.seed)]

    def __call__(
        self, past: Sequence[Experience], new: Sequence[Experience], forgotten: Collection[str]
    ) -> Sequence[Decision]:
        wanted = round(len(new) * self.ratio / (1 - self.ratio))
        if self.choose == "forgotten":
            store = [e for e in past if e.id in forgotten]
            how = f"answered wrong now, {len(store)} of those asked again"
        elif self.choose == "reservoir":
            store = [past[i] for i in _reservoir(len(past), self.capacity, self.seed)]
            how = f"out of a reservoir of {len(store)} of {len(past)}"
        else:
            store, how = list(past), f"by lot out of {len(past)}"
        taken = list(_in_turn(self._by_lot(store, new)))[:wanted]
        reason = f"learned again beside {len(new)} new answers, {len(taken)} {how}"
        return [Decision(item=e.id, kept=True, reason=reason) for e in taken]

    def _by_lot(self, store: Sequence[Experience], new: Sequence[Experience]) -> list[Experience]:
        """Another order for every update, and for one update the same whatever order the store is in."""
        drawn = hash_of("drawn", self.seed, [e.id for e in new])
        return sorted(store, key=lambda e: hash_of("lot", drawn, e.id))


def _reservoir(count: int, capacity: int, seed: int) -> list[int]:
    """Which of ``count`` that came one after the other are in the store. What came later never changes an earlier draw:
    the store of yesterday, fed on, is the store of today."""
    drawn = random.Random(f"reservoir|{seed}")
    store: list[int] = []
    for i in range(count):
        if i < capacity:
            store.append(i)
        elif (place := drawn.randrange(i + 1)) < capacity:
            store[place] = i
    return sorted(store)


def _in_turn(items: Sequence[Experience]) -> Iterator[Experience]:
    """One of each ability after the other, for as long as it has any."""
    of: dict[str, list[Experience]] = {}
    for e in items:
        of.setdefault(e.task.ability, []).append(e)
    while of:
        for ability in sorted(of):
            yield of[ability].pop(0)
            if not of[ability]:
                del of[ability]
