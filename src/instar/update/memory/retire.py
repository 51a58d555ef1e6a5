"""Notes that the weights know by themselves go: what is in the weights need not stand before the question as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.errors import DataError, NothingLearned
from instar.memory import value
from instar.protocols import Update, UpdateContext
from instar.records import Decision, Experience, Mark, Policy
from instar.update.memory.writing import memory_of, with_memory


class Retire(Update):
    """A live note goes if the tasks for which it was recalled were answered rightly *without* it too: at least
    ``tasks`` of them, and at least the share ``right`` of all answers given to them without any note. It is handed
    both: answers with notes say which tasks a note is for, answers without say whether it is needed. Pinned notes stay.

    Whether the policy is as good without them is measured on dev by whoever asks (``consolidate``).

    Raises DataError without a memory; NothingLearned where no note is known by now.
    """

    name: ClassVar[str] = "retire"
    trains: ClassVar[bool] = False

    tasks: int = Field(default=1, ge=1)
    right: float = Field(default=1.0, gt=0, le=1)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        uses: dict[str, set[str]] = defaultdict(set)
        alone: dict[str, list[bool]] = defaultdict(list)
        for e in data:
            if e.feedback is None:
                raise DataError(f"nobody said whether the answer {e.id} is right.", "Judge the answers first.")
            for id in e.solution.memories:
                uses[id].add(e.task.id)
            if not e.solution.memories:
                alone[e.task.id].append(e.feedback.mark is Mark.right)
        why = {}
        for id, tasks in uses.items():
            known = [task for task in tasks if task in alone]
            marks = [mark for task in known for mark in alone[task]]
            live = id in memory.notes and memory.state(id).live and not memory.state(id).pinned
            if live and len(known) >= self.tasks and sum(marks) >= self.right * len(marks):
                why[id] = f"known without it: {sum(marks)} of {len(marks)} answers to {len(known)} tasks are right"
        if not why:
            raise NothingLearned(f"none of {len(uses)} notes that were recalled is known without it.")
        context.decide(Decision(item=id, kept=False, reason=reason) for id, reason in why.items())
        return with_memory(policy, value.forget(memory, why), context, self.name)
