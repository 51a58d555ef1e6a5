"""Ask the model several times for the same task: the E-step of ReST-EM, the first step of most self-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.errors import EngineError
from instar.protocols import Models, Solve
from instar.records import Polarity, Sampling, Solution, Strategy, Task, Turn


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
        replies = await model.ask(model.policy.prompt(task), n=self.samples, sampling=self.sampling)
        if len(replies) != self.samples:
            raise EngineError(
                f"Asked for {self.samples} replies and got {len(replies)}.",
                "The engine is at fault: it must give all or fail.",
            )
        return [
            Solution(
                task=task.id,
                turns=(Turn(text=reply.text, token_ids=reply.token_ids),),
                policy=reply.policy,
                engine=reply.engine,
                precision=reply.precision,
                sampling=self.sampling,
                finish=reply.finish,
                strategy=Strategy.rationale,
                polarity=Polarity.unknown,
                prompt_tokens=reply.prompt_tokens,
                tokens=reply.tokens,
            )
            for reply in replies
        ]
