"""Judge code by running the tests that its author may see, in the sandbox; it names the first one that fails.

This is what a program is debugged with, and its words go back into a prompt. So it looks at the visible tests alone: a
task's hidden ones decide at the exam (``which = "hidden"``), and then nothing is said of them but how many passed.

Program and tests share a process. A program that forges its own verdict fools itself where the tests are visible; where
it would pay to cheat, judge with one that keeps them apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task, hash_of

LONGEST = 20_000
"""Characters of code that are run."""

_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)

_RUNNER = """
import json, sys
told = json.load(sys.stdin)
passed, failed = 0, ""
space = {"__name__": "solution"}
try:
    exec(compile(open("solution.py").read(), "solution.py", "exec"), space)
    broken = None
except BaseException as e:
    broken = f"the code does not run: {type(e).__name__}: {e}"
for test in told["tests"]:
    try:
        if broken:
            raise RuntimeError(broken)
        exec(test, space)
        passed += 1
    except BaseException as e:
        why = broken or f"{type(e).__name__}: {e}".rstrip(": ")
        if not broken and test.startswith("assert ") and "==" in test and isinstance(e, AssertionError):
            try:
                why = f"it gave {eval(test[7:].split('==')[0], space)!r}"
            except BaseException:
                pass
        failed = failed or f"{test}\\n{why}"[:2000]
print()
print(told["nonce"] + json.dumps([passed, failed]))
"""


class UnitTests(Judge):
    """Runs ``private["tests"]["visible"]`` (statements such as ``assert f(2) == 4``) on the code in a reply.

    Score: the share that passes; right means all. Evidence ``failed``: the first failed test and what happened instead,
    for visible tests only. A program that a limit ended fails all: ``seconds`` are of processor time, and eight times
    as many of wall clock. Code is the last fenced block, or the whole reply.
    Invalid (no score): the task has no such tests, or the sandbox could not be set up.
    """

    name: ClassVar[str] = "unit_tests"

    which: Literal["visible", "hidden"] = "visible"
    seconds: float = Field(default=5.0, gt=0, le=60)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        tests = [str(t) for t in (task.private.get("tests") or {}).get(self.which, ())]
        said: list[Feedback] = []
        for solution in solutions:
            said.append(await self._one(solution, tests))
        return said

    async def _one(self, solution: Solution, tests: Sequence[str]) -> Feedback:
        from instar.sandbox import Limits, open_sandbox

        if not tests:
            return _invalid(solution, f"the task has no {self.which} tests")
        code = code_in(solution.text)
        if len(code) > LONGEST:
            return self._feedback(solution, 0, len(tests), f"the code has more than {LONGEST} characters")
        nonce = hash_of("nonce", code, tests, self.which)  # the program cannot print a verdict by accident
        told = json.dumps({"tests": tests, "nonce": nonce}).encode()
        files: dict[str, str | bytes] = {"solution.py": code.encode("utf-8", "replace"), "runner.py": _RUNNER}
        # of its own processor time: on a busy machine the wall clock would fail code that is right (seen at load 20)
        limits = Limits(seconds=8 * self.seconds, cpu_seconds=self.seconds)
        done = await open_sandbox().run(files, ["python", "runner.py"], limits, stdin=told)
        line = done.stdout.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
        if done.limit_hit or not line.startswith(nonce):
            why = f"it ran into the limit of {done.limit_hit}" if done.limit_hit else "it ended before its tests did"
            return self._feedback(solution, 0, len(tests), f"{tests[0]}\n{why}")
        try:
            passed, failed = json.loads(line.removeprefix(nonce))
            return self._feedback(solution, min(len(tests), max(0, int(passed))), len(tests), str(failed))
        except (ValueError, TypeError):
            return self._feedback(solution, 0, len(tests), f"{tests[0]}\nits result cannot be read")

    def _feedback(self, solution: Solution, passed: int, of: int, failed: str) -> Feedback:
        shown = self.which == "visible" and bool(failed)
        return Feedback(
            solution=solution.id,
            score=passed / of,
            mark=Mark.right if passed == of else Mark.wrong,
            source="execution",
            comment=f"{passed} of {of} {self.which} tests passed",
            evidence={"failed": failed} if shown else {},
        )


def code_in(reply: str) -> str:
    """The code of a reply: its last fenced block that holds anything, else all of it."""
    blocks = [b for b in _FENCE.findall(reply) if b.strip()]
    return str(blocks[-1] if blocks else reply)


def _invalid(solution: Solution, why: str) -> Feedback:
    return Feedback(solution=solution.id, score=None, mark=Mark.invalid, source="execution", comment=why)
