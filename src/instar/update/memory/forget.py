"""Forget what has faded: R = exp(-t / S) below a floor (MemoryBank, section 2.3).

Departures: the paper keeps a note with the chance R, drawn anew whenever it looks, so that survival compounds; here the
floor decides, once, and each note that goes leaves its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.errors import DataError, NothingLearned
from instar.memory import value
from instar.protocols import Update, UpdateContext
from instar.records import Decision, Experience, Policy
from instar.update.memory.writing import memory_of, with_memory


class Forget(Update):
    """Live notes whose retention is below ``floor`` on the last day of these experiences are forgotten, but for pinned
    ones. One strength lasts ``days`` (the paper: 1).

    Raises DataError without a memory, or where no experience has a day; NothingLearned where nothing has faded.
    """

    name: ClassVar[str] = "forget"
    trains: ClassVar[bool] = False

    floor: float = Field(default=0.05, gt=0, lt=1)
    days: float = Field(default=100.0, gt=0)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        days = [e.task.when for e in data if e.task.when is not None]
        if not days:
            raise DataError("no experience says what day it is, so nothing can have faded.", "Give tasks their `when`.")
        gone = value.faded(memory, max(days), self.floor, self.days)
        if not gone:
            raise NothingLearned(f"none of {sum(1 for _ in memory.live())} notes has faded below {self.floor:g}.")
        why = {id: f"faded to {r:.3g} by day {max(days):g}" for id, r in gone.items()}
        context.decide(Decision(item=id, kept=False, reason=reason) for id, reason in why.items())
        return with_memory(policy, value.forget(memory, why), context, self.name)
