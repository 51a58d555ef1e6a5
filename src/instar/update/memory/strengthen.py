"""Notes that were recalled while training grow stronger: S <- S + 1, and their days begin anew (MemoryBank, section
2.3). Exams change no memory, and what a policy is examined on is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.errors import DataError, NothingLearned
from instar.memory import value
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Policy
from instar.update.memory.writing import memory_of, with_memory


class Strengthen(Update):
    """Each note that one of these answers was given with (``Solution.memories``) grows by 1 a recall, and was last
    recalled on that task's day.

    Raises DataError for an answer to a held-out task, or without a memory; NothingLearned where no note was recalled.
    """

    name: ClassVar[str] = "strengthen"
    trains: ClassVar[bool] = False

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        exam = [e for e, leaked in zip(data, context.leaks([e.task.question for e in data]), strict=True) if leaked]
        if exam:
            raise DataError(
                f"the answer {exam[0].id} is to a task that is held out: an exam changes no memory.",
                "Hand it answers to training tasks.",
            )
        recalled: dict[str, tuple[int, float | None]] = {}
        for e in data:
            for id in e.solution.memories:
                if id in memory.notes and memory.state(id).live:
                    times, day = recalled.get(id, (0, None))
                    days = [d for d in (day, e.task.when) if d is not None]
                    recalled[id] = times + 1, max(days) if days else None
        if not recalled:
            raise NothingLearned(f"none of {len(data)} answers was given with a note that still holds.")
        return with_memory(policy, value.strengthen(memory, recalled), context, self.name)
