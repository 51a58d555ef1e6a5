"""Ask the model several times for the same task: the E-step of ReST-EM, the first step of most self-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.answers import replies_of, solution_of
from instar.protocols import Models, Solve
from instar.records import Sampling, Solution, Task


class Sample(Solve):
    """``samples`` independent answers of ``models["self"]`` to a task, in one ask.

    Temperature 0.7 and top-k 40 are ReST-EM's (arXiv 2312.06585), which drew 32 samples a problem for mathematics and
    64 for code; 8 is for a small machine.

    Raises:
        EngineError: the model gave another number of replies than asked for.
    """

    name: ClassVar[str] = "sample"

    samples: int = Field(default=8, ge=1)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=256)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        replies = await replies_of(model, model.policy.prompt(task), self.sampling, self.samples)
        return [solution_of(task, reply, self.sampling) for reply in replies]
