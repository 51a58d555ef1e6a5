"""Judge by an additive rubric: a model gives a point for each criterion that holds; several judgements are averaged.

Paper: Yuan et al., *Self-Rewarding Language Models*, arXiv 2401.10020: five additive points (relevant, substantial,
useful, well organised, expert); the score of three samples is averaged. Their additive rubric agreed with people on
65.1 % of pairs where a multiple-choice one reached 26.6 %: the wording matters, so measure before you believe
(``instar.evaluate.audit`` does, in every run).

Departures:
- What is judged stands between marks (``instar.acquire.feedback.fence``), the request after it.
- The reference answer is shown where the task has one (Zheng et al., arXiv 2306.05685: judges are weak at mathematics).
- A judgement whose last line is not its score is invalid and is left out of the mean; it is never a 0.
- The score is points / criteria, so that full credit is 1; ``accept`` says from where on the mark is "right".
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import ClassVar, Self

from pydantic import Field, model_validator

from instar.acquire.feedback.judging import critique, judge_of, prompt, reference_of, verdict
from instar.extract import extract
from instar.protocols import Judge, Model, Models
from instar.records import Feedback, Finish, Mark, Message, Reply, Sampling, Solution, Task

CRITERIA = (
    "The answer is relevant to the question and gives some of what is asked for.",
    "It deals with a substantial part of the question.",
    "It answers the basic elements of the question in a useful and correct way.",
    "It is well organised, complete and to the point.",
    "It is without any error and shows expert knowledge.",
)


class Rubric(Judge):
    """Asks ``models["judge"]`` (else ``models["self"]``) for ``samples`` judgements of each solution.

    Score: the mean of the readable judgements' points / number of criteria, from 0 to 1. Mark: right from ``accept``
    on, else wrong. Invalid, without a score, if fewer than half of the judgements can be read. The evidence has every
    judgement's points (None: not readable), ``mean``, ``spread`` (standard deviation of the points) and who judged; the
    comment is the first readable critique. ``reference`` shows the gold answer, where there is one, to the judge.
    ``protect = false`` is for measuring what the marks are worth, not for use.

    Raises:
        ValueError: several samples at temperature 0, which would all be the same.
    """

    name: ClassVar[str] = "rubric"
    believes_a_model: ClassVar[bool] = True

    criteria: tuple[str, ...] = Field(default=CRITERIA, min_length=1, max_length=20)
    samples: int = Field(default=3, ge=1)
    accept: float = Field(default=0.8, gt=0, le=1, allow_inf_nan=False)
    reference: bool = True
    protect: bool = True
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=160)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ValueError(f"{self.samples} judgements at temperature 0 are one judgement: set samples = 1")
        return self

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        judge = judge_of(models)  # one after the other: the run has many tasks in flight, and turns need an order
        return [self._feedback(task, s, judge, await self._ask(task, s, judge)) for s in solutions]

    async def _ask(self, task: Task, solution: Solution, judge: Model) -> list[Reply]:
        return await judge.ask(self.prompt(task, solution), n=self.samples, sampling=self.sampling)

    def prompt(self, task: Task, solution: Solution) -> tuple[Message, ...]:
        """What the judge is shown of one solution."""
        points = "\n".join(f"{i}. {c}" for i, c in enumerate(self.criteria, 1))
        request = (
            "Judge the answer. It gets one point for each of these that is true of it, and none for those that are "
            f'not:\n{points}\nWrite a short critique first. Then write, alone on the last line, "Score: N" with N the '
            f"number of points, from 0 to {len(self.criteria)}."
        )
        reference = reference_of(task) if self.reference else None
        return prompt(task, [("answer", solution.text)], request, reference=reference, protect=self.protect)

    def _points(self, reply: Reply) -> int | None:
        said = None if reply.finish is Finish.length else verdict(reply.text, "score", r"\d{1,2}")
        return int(said) if said is not None and int(said) <= len(self.criteria) else None

    def _feedback(self, task: Task, solution: Solution, judge: Model, replies: Sequence[Reply]) -> Feedback:
        points = [self._points(r) for r in replies]
        known = [p for p in points if p is not None]
        mean = fmean(known) if known else None
        evidence = {
            "points": points,
            "of": len(self.criteria),
            "mean": mean,
            "spread": stdev(known) if len(known) > 1 else None,
            "judge": judge.policy.id,
        }
        if mean is None or 2 * len(known) < len(points):
            score, mark = None, Mark.invalid
            comment = f"{len(points) - len(known)} of {len(points)} judgements have no score on their last line"
        else:
            score = mean / len(self.criteria)
            mark = Mark.right if score >= self.accept else Mark.wrong
            said = (critique(r.text) for r, p in zip(replies, points, strict=True) if p is not None)
            comment = next((c for c in said if c), "")
        return Feedback(
            solution=solution.id,
            score=score,
            mark=mark,
            source="judge",
            comment=comment,
            answer=extract(solution.text, "auto", reference_of(task)),
            evidence=evidence,
        )
