"""The verbs that examine a policy and let it be promoted: what a run believes of its own progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from instar.protocols import Gate, Judge, Models, Solve
from instar.records import Exam, Experience, Policy, Report, Task, Verdict, hash_of
from instar.run.asking import handles
from instar.run.judging import judge
from instar.run.keys import EXAM_ROUND, SELF
from instar.run.outputs import Output, only
from instar.run.solving import solve
from instar.run.steps import Steps


class Examination(Protocol):
    """How an exam is solved, judged and reported; ``instar.evaluate.exams`` has the real one."""

    @property
    def solve(self) -> Solve: ...
    @property
    def judge(self) -> Judge: ...

    def describe(self, suite: str, tasks: Sequence[Task], engine: str, precision: str) -> Exam: ...
    def report(self, policy: str, exam: Exam, attempts: Sequence[Experience], tasks: Sequence[Task]) -> Report: ...


async def evaluate(steps: Steps, exam: Examination, policy: Policy, tasks: Sequence[Task], *, suite: str) -> Report:
    """A policy on an exam. No failure is tolerated: a missing attempt would change the denominator."""
    models = handles(steps.engine, policy, steps.cast, steps.engine.precision_for("exam"))
    title = f"exam {suite} of {short(policy.id)}"
    step = steps.step("exam", exam.solve, title, round=EXAM_ROUND, tolerance=0.0)
    tries = await solve(steps, step, tasks, models)
    check = steps.step("judge", exam.judge, f"checking {suite}", round=EXAM_ROUND, tolerance=0.0)
    tries = await judge(steps, check, tries, models)
    what = exam.describe(suite, tasks, steps.engine.name, models[SELF].precision)
    if steps.cast:
        what = what.model_copy(update={"roles": {role: p.id for role, p in sorted(steps.cast.items())}})

    async def work(_: Models) -> list[Output]:
        report = exam.report(policy.id, what, tries, tasks)
        feedback = [e.feedback.id for e in tries if e.feedback]
        return [Output(report, (policy.id, *feedback))]

    item = hash_of("report", what.digest, policy.id)
    (report,) = only(Report, await steps.one("report", exam.judge, item, work, round=EXAM_ROUND, phase="exam"))
    return report


async def promote(
    steps: Steps, gate: Gate, exam: Examination, incumbent: Policy, candidate: Policy, tasks: Sequence[Task]
) -> Policy:
    """The candidate if the gate lets it pass, else the incumbent. Missing evidence means no."""
    if candidate.id == incumbent.id:
        steps.note("the candidate is the incumbent: nothing to decide")
        return incumbent
    before = await evaluate(steps, exam, incumbent, tasks, suite="gate")
    after = await evaluate(steps, exam, candidate, tasks, suite="gate")

    async def work(_: Models) -> list[Output]:
        inputs = (before.id, after.id)
        return [Output(gate(before, after), inputs, decides=(candidate.id,))]

    item = hash_of("gate", before.id, after.id)
    (verdict,) = only(Verdict, await steps.one("gate", gate, item, work, phase="gate"))
    steps.note(f"gate: {'promoted' if verdict.promoted else 'refused'}: {verdict.reason}")
    return candidate if verdict.promoted else incumbent


def short(id: str) -> str:
    """An id as people read it: the first 8 characters."""
    return id.split(":")[-1][:8]
