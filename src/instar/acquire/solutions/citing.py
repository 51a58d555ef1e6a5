"""Answer from numbered texts and cite them: grounded solutions; and the same question without the texts, to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.answers import replies_of, solution_of, turn_of
from instar.errors import DataError
from instar.protocols import Models, Solve
from instar.records import Message, Role, Sampling, Solution, Strategy, Task


class Citing(Solve):
    """``samples`` answers to a task that shows its texts, as it stands: their strategy is grounded. They are learned
    under the prompt that they were asked with, texts and all."""

    name: ClassVar[str] = "citing"

    samples: int = Field(default=4, ge=1)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=48)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        replies = await replies_of(model, model.policy.prompt(task), self.sampling, self.samples)
        return [solution_of(task, r, self.sampling, strategy=Strategy.grounded) for r in replies]


class WithoutTexts(Solve):
    """One answer to a task's question without the texts that it shows: what is known, or guessed, without them. Nobody
    is trained on it. Raises DataError for a task that does not say what its bare question is."""

    name: ClassVar[str] = "without_texts"

    sampling: Sampling = Sampling(temperature=0.0, max_tokens=40)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        question = task.private.get("question")
        if not isinstance(question, str):
            raise DataError(f"The task {task.id} of {task.source} shows no texts.", "Take passage_questions' tasks.")
        model = models["self"]
        bare = task.model_copy(update={"messages": (Message(role=Role.user, content=question),)})
        replies = await replies_of(model, model.policy.prompt(bare), self.sampling)
        return [solution_of(task, r, self.sampling, turns=(turn_of(r, train=False),)) for r in replies]
