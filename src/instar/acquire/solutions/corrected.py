"""Answer, then correct the answer: a procedure that can be examined like a plain answer, at its whole cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.acquire.solutions.sample import Sample
from instar.errors import StepFailed
from instar.protocols import Correct, Models, Solve
from instar.records import Experience, Sampling, Solution, Task


class Corrected(Solve):
    """The drafts of ``draft``, each rewritten by ``correct``. Tokens are those of draft and correction together.

    An exam with this as its ``solve`` says what policy *and* procedure are worth together.

    Raises:
        StepFailed: the correction gave more or less than one solution of a draft: an exam accepts no gap.
    """

    name: ClassVar[str] = "corrected"

    draft: Solve = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=256))
    correct: Correct

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        made = []
        for draft in await self.draft(task, models):
            rewritten = await self.correct(Experience(task=task, solution=draft), models)
            if len(rewritten) != 1:
                raise StepFailed(
                    f"{self.correct.name} gave {len(rewritten)} solutions of one draft; a procedure gives exactly one.",
                    "Set it to give one (constitutional: keep = 'last').",
                )
            (new,) = rewritten
            cost = {"tokens": draft.tokens + new.tokens, "prompt_tokens": draft.prompt_tokens + new.prompt_tokens}
            made.append(new.model_copy(update=cost))
        return made
