"""Answer with the passage in sight: a grounded solution, learned as the answer to the question without it.

The survey's grounded leaf (arXiv 2404.14387, section 3.2). A task that was made from a passage has it in its private
data; here, and nowhere else, it is shown. Worked examples stand before it as turns of the chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.documents.showing import one
from instar.answers import replies_of, solution_of, turn_of
from instar.errors import DataError
from instar.protocols import Models, Solve
from instar.records import Learn, Message, Role, Sampling, Solution, Strategy, Task

_TEXT = "The mill at Sane was built in 1640. Its first owner was Emil Harding. It stands next to the river Dorn."
SHOTS = (
    {"passage": _TEXT, "question": "Who was the first owner of the mill at Sane?",
     "answer": "The first owner of the mill at Sane was Emil Harding."},
    {"passage": _TEXT, "question": "Fill the gap: The mill at Sane was built in ____.",
     "answer": "The mill at Sane was built in 1640."},
)  # fmt: skip


class Reading(Solve):
    """``samples`` answers of the policy to a task, shown the passage that the task was made from (``private``'s
    ``passage``). The solution's strategy is grounded; it is learned under the plain prompt, without the passage.

    ``shots`` are worked examples (``passage``, ``question``, ``answer``). Raises DataError for a task without a
    passage.
    """

    name: ClassVar[str] = "reading"

    samples: int = Field(default=1, ge=1)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=40)
    shots: tuple[dict[str, str], ...] = SHOTS

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        passage = task.private.get("passage")
        if not isinstance(passage, str) or not passage.strip():
            raise DataError(
                f"The task {task.id} of {task.source} was made from no passage.",
                "reading answers what passage_questions made.",
            )
        model = models["self"]
        said = model.policy.prompt(task.model_copy(update={"messages": self._shown(task, passage)}))
        replies = await replies_of(model, said, self.sampling, self.samples)
        return [
            solution_of(task, r, self.sampling, turns=(turn_of(r, learn=Learn.plainly),), strategy=Strategy.grounded)
            for r in replies
        ]

    def _shown(self, task: Task, passage: str) -> tuple[Message, ...]:
        turns: list[Message] = []
        for shot in self.shots:
            turns.append(Message(role=Role.user, content=one(shot["passage"], shot["question"])))
            turns.append(Message(role=Role.assistant, content=shot["answer"]))
        last = Message(role=Role.user, content=one(passage, task.question))
        return (*task.messages[:-1], *turns, last)
