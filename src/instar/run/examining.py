"""The verbs that examine a policy and let it be promoted: what a run believes of its own progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from instar.protocols import Engine, Gate, Judge, Models, Op, Solve
from instar.records import Exam, Experience, Policy, Report, Task, Verdict, hash_of
from instar.run.asking import Handle
from instar.run.keys import EXAM_ROUND
from instar.run.mapping import Item, Output, Step, only
from instar.run.stopwatch import Stopwatch

if TYPE_CHECKING:
    from instar.run.run import Handles


class Examination(Protocol):
    """How an exam is solved, judged and reported; ``instar.evaluate.exams`` has the real one."""

    @property
    def solve(self) -> Solve: ...
    @property
    def judge(self) -> Judge: ...

    def describe(self, suite: str, tasks: Sequence[Task], engine: str, precision: str) -> Exam: ...
    def report(self, policy: str, exam: Exam, attempts: Sequence[Experience], tasks: Sequence[Task]) -> Report: ...


class Examining:
    """What ``Run`` inherits: these verbs."""

    if TYPE_CHECKING:  # what they need of the run itself
        engine: Engine
        watch: Stopwatch

        def note(self, text: str) -> None: ...
        def _step(
            self, verb: str, op: Op, title: str, *, round: int | None = None, tolerance: float | None = None,
            quiet: bool = False,
        ) -> Step: ...  # fmt: skip
        async def _solve(self, step: Step, tasks: Sequence[Task], models: Handles) -> list[Experience]: ...
        async def _judge(self, step: Step, tries: Sequence[Experience], models: Handles) -> list[Experience]: ...

    async def evaluate(self, exam: Examination, policy: Policy, tasks: Sequence[Task], *, suite: str) -> Report:
        """A policy on an exam. No failure is tolerated: a missing attempt would change the denominator."""
        models = {"self": Handle(policy, self.engine.precision_for("exam"))}
        title = f"exam {suite} of {short(policy.id)}"
        step = self._step("exam", exam.solve, title, round=EXAM_ROUND, tolerance=0.0)
        tries = await self._solve(step, tasks, models)
        check = self._step("judge", exam.judge, f"checking {suite}", round=EXAM_ROUND, tolerance=0.0)
        tries = await self._judge(check, tries, models)
        what = exam.describe(suite, tasks, self.engine.name, models["self"].precision)

        async def work(_: Models) -> list[Output]:
            report = exam.report(policy.id, what, tries, tasks)
            feedback = [e.feedback.id for e in tries if e.feedback]
            return [Output(report, (policy.id, *feedback))]

        step = self._step("report", exam.judge, f"report {suite}", round=EXAM_ROUND, tolerance=0.0, quiet=True)
        with self.watch.phase("exam"):
            (records,) = (await step.map([Item(hash_of("report", what.digest, policy.id), work)], {})).values()
        (report,) = only(Report, records)
        return report

    async def promote(
        self, gate: Gate, exam: Examination, incumbent: Policy, candidate: Policy, tasks: Sequence[Task]
    ) -> Policy:
        """The candidate if the gate lets it pass, else the incumbent. Missing evidence means no."""
        if candidate.id == incumbent.id:
            self.note("the candidate is the incumbent: nothing to decide")
            return incumbent
        before = await self.evaluate(exam, incumbent, tasks, suite="gate")
        after = await self.evaluate(exam, candidate, tasks, suite="gate")

        async def work(_: Models) -> list[Output]:
            inputs = (before.id, after.id)
            return [Output(gate(before, after), inputs, decides=(candidate.id,))]

        step = self._step("gate", gate, "gate", tolerance=0.0, quiet=True)
        with self.watch.phase("gate"):
            (records,) = (await step.map([Item(hash_of("gate", before.id, after.id), work)], {})).values()
        (verdict,) = only(Verdict, records)
        self.note(f"gate: {'promoted' if verdict.promoted else 'refused'}: {verdict.reason}")
        return candidate if verdict.promoted else incumbent


def short(id: str) -> str:
    """An id as people read it: the first 8 characters."""
    return id.split(":")[-1][:8]
