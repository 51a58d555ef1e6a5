"""How a policy is examined: which operator solves, which judges, how many samples an item."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from instar.evaluate.exams import make_exam
from instar.evaluate.report import make_report
from instar.protocols import Judge, Solve
from instar.records import Exam, Experience, Report, Task


class Eval(BaseModel):
    """The settings of an exam; with tasks, an engine and a precision it becomes an ``Exam``.

    ``samples`` must be what ``solve`` gives per task: a missing attempt would change the denominator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    solve: Solve
    judge: Judge
    samples: int = Field(default=1, ge=1)

    def describe(self, suite: str, tasks: Sequence[Task], engine: str, precision: str) -> Exam:
        """The exam of these tasks: two reports are comparable if and only if these are equal."""
        return make_exam(
            suite, tasks, solve=self.solve, judge=self.judge, engine=engine, precision=precision, n=self.samples
        )

    def report(self, policy: str, exam: Exam, attempts: Sequence[Experience], tasks: Sequence[Task]) -> Report:
        """The report of a policy. Raises InstarError when an attempt is missing or a checker failed."""
        return make_report(policy, exam, attempts, tasks)
