"""Sample a few answers at a time and stop when more would change nothing: the same labels for fewer tokens.

Two reasons to stop: the task has as many right answers as will be kept (a cap such as ReST-EM's makes the rest waste),
or its vote is decided: no answers still to come could change or tie the majority. The idea is Adaptive-Consistency's
(Aggarwal et al., arXiv 2305.11860). Departure: they stop when the majority is *probably* stable, here when it is sure,
so the label is exactly the one that all ``most`` samples would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from instar.acquire.feedback.verify import Verify
from instar.acquire.feedback.vote import Vote, count
from instar.acquire.solutions.sample import Sample
from instar.protocols import Attempt, Judge, Models
from instar.records import Experience, Feedback, Mark, Sampling, Solution, Task


class Adaptive(Attempt):
    """Asks ``models["self"]`` for ``batch`` answers at a time, at most ``most``, and judges the group after each.

    ``stop_after_right``: enough right answers (at most so many plus a batch are made). ``stop_when_decided``: the vote
    over the answers, as the judge read them, cannot change any more. At least one of them must be set. Each feedback's
    evidence says how many samples were ``asked`` and ``most``.

    The whole group is judged again after each batch, for a judge may compare; share and margin of a vote are of the
    samples asked, not of ``most``. Temperature 0.7 and top-k 40 are ReST-EM's (arXiv 2312.06585).
    """

    name: ClassVar[str] = "adaptive"

    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=256)
    judge: Judge = Verify()
    batch: int = Field(default=4, ge=1)
    most: int = Field(default=16, ge=1)
    stop_after_right: int | None = Field(default=None, ge=1)
    stop_when_decided: bool = False

    @model_validator(mode="after")
    def _stops(self) -> Self:
        if self.stop_after_right is None and not self.stop_when_decided:
            raise ValueError("it would never stop early: set stop_after_right or stop_when_decided")
        if self.stop_after_right is not None and isinstance(self.judge, Vote):
            raise ValueError("a vote's right answers change with every vote: set stop_when_decided instead")
        return self

    async def __call__(self, task: Task, models: Models) -> Sequence[Experience]:
        solutions: list[Solution] = []
        said: Sequence[Feedback] = []
        while len(solutions) < self.most and not self._enough(said):
            size = min(self.batch, self.most - len(solutions))
            made = await Sample(samples=size, sampling=self.sampling)(task, models)
            # places stand for ids until the run mints them
            solutions += [s.model_copy(update={"id": str(len(solutions) + i)}) for i, s in enumerate(made)]
            said = await self.judge(task, solutions, models)
        spent = {"asked": len(solutions), "most": self.most}
        return [
            Experience(task=task, solution=s, feedback=f.model_copy(update={"evidence": {**f.evidence, **spent}}))
            for s, f in zip(solutions, said, strict=True)
        ]

    def _enough(self, said: Sequence[Feedback]) -> bool:
        if self.stop_after_right is not None and sum(f.mark is Mark.right for f in said) >= self.stop_after_right:
            return True
        return self.stop_when_decided and count([f.answer for f in said]).decided(self.most - len(said))
