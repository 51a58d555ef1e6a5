"""Judge code by the tests its author may see, and say how the first one failed: what a program is debugged with.

The words go back into a prompt, so a task's hidden tests have no part in it, not even in the score that says when to
stop: ``execution`` judges by those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.feedback.execution import run_tests
from instar.acquire.feedback.program import program_in
from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task


class UnitTests(Judge):
    """Score: the share of ``private["tests"]["visible"]`` that the program in a reply passes; right means all.

    Evidence ``failed``: the first failed test, with what happened. ``seconds`` is for each test.
    Invalid (no score): the task has no visible tests.

    Raises:
        SandboxError: this machine has no sandbox.
    """

    name: ClassVar[str] = "unit_tests"

    seconds: float = Field(default=5.0, gt=0, le=60)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        tests = task.private.get("tests")
        visible = [str(t) for t in tests.get("visible", ())] if isinstance(tests, Mapping) else []
        return [await self._one(task, solution, visible) for solution in solutions]

    async def _one(self, task: Task, solution: Solution, visible: Sequence[str]) -> Feedback:
        if not visible:
            return Feedback(
                solution=solution.id, score=None, mark=Mark.invalid, source="execution",
                comment="the task has no visible tests",
            )  # fmt: skip
        program = program_in(solution.text)
        if program is None:
            whys = ["there is no code"] * len(visible)
        else:
            head = str(task.private.get("prompt", ""))
            whys, _ = await run_tests(f"{head}\n{program}\n" if head else f"{program}\n", visible, task.private,
                                      seconds=self.seconds)  # fmt: skip
        failed = [f"{test}\n{why}" for test, why in zip(visible, whys, strict=True) if why]
        passed = len(visible) - len(failed)
        return Feedback(
            solution=solution.id,
            score=passed / len(visible),
            mark=Mark.wrong if failed else Mark.right,
            source="execution",
            comment=f"{passed} of {len(visible)} visible tests passed",
            evidence={"failed": failed[0]} if failed else {},
        )
