"""One answer under a prompt that asks for good ones beside one under a prompt that asks for bad ones: RLCD's pairs.

Paper: Yang et al., *RLCD: Reinforcement Learning from Contrastive Distillation for LM Alignment*, arXiv 2307.12950,
section 3: the same model, two prompts that differ in a few words, and no judge: which answer is the better one is known
from how it was come by. Departure: both are learned under the plain prompt of the task (the paper trains a preference
model on them, and reinforces with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.answers import replies_of, solution_of, turn_of
from instar.protocols import Model, Models, Solve
from instar.records import Learn, Message, Polarity, Role, Sampling, Solution, Task


class TwoPrompts(Solve):
    """``samples`` answers with ``good`` after the question, meant right, and as many with ``bad``, meant wrong: those
    are negatives from birth, and no update trains toward them. Pair them with ``pairs.why = "perturbative"``.

    Raises EngineError where the model gave another number of replies than asked for."""

    name: ClassVar[str] = "two_prompts"

    samples: int = Field(default=1, ge=1)
    good: str = "(Think carefully and give a correct answer.)"
    bad: str = "(Do not think and give a wrong answer.)"
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=256)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        right = await self._under(self.good, Polarity.right, task, model)
        return [*right, *await self._under(self.bad, Polarity.wrong, task, model)]

    async def _under(self, words: str, meant: Polarity, task: Task, model: Model) -> list[Solution]:
        messages = list(model.policy.prompt(task))
        place = max((i for i, m in enumerate(messages) if m.role is Role.user), default=len(messages) - 1)
        messages[place] = Message(role=Role.user, content=f"{messages[place].content}\n\n{words}")
        replies = await replies_of(model, messages, self.sampling, self.samples)
        return [
            solution_of(task, r, self.sampling, turns=(turn_of(r, learn=Learn.plainly),), polarity=meant)
            for r in replies
        ]
