"""Judge by running: the program in a reply against tests, in a sandbox, with a verdict it cannot forge.

By hidden tests, which say whether a program is right; or by the visible ones alone, for whoever mends a program by what
is said of them: those words go into a prompt, so hidden tests are then not even run.

The first test that runs out of time ends a program's tests: the rest are not run and count as failed. Where the tester
or the program was killed from outside, by the OOM killer for example, the tests are run again, three times in all; then
the verdict is *invalid*, without a score.

How the verdict is kept out of the program's reach: docs/design/0003-untrusted-code.md, section 4.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar import program as reading
from instar.acquire.feedback import proctor, tester
from instar.errors import DataError
from instar.extract import extract
from instar.legible import storable
from instar.program import program_in
from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task
from instar.sandbox import Limits, Outcome, guard, offspring, open_sandbox
from instar.sandbox.room import Kind

PATIENCE = 5
"""Wall clock that a test may take, in its processor times: a machine may be busy, and a program may sleep."""
SHOWN = 500
"""Characters of a failed visible test, and of what came of it, in the evidence."""
NO_PROGRAM = "no program found"
TRIES = 3
"""How often tests are begun of which something was killed from outside."""


class Execution(Judge):
    """Score is the share of the tests passed; right is all of them.

    A task's private data: ``tests`` = {"visible": [...], "hidden": [...]}, each a piece of Python that raises when it
    fails; ``names``, the functions that the tests call; ``setup``, what stands before each test; ``prompt``, what
    stands before the program (a function's head and docstring, imports).

    ``tests``: ``hidden`` ones judge, and visible ones only inform; or ``visible`` ones alone are run, as the author of
    a program may, and a task that has none is invalid, not wrong. Evidence ``failed`` is the first *visible* test that
    failed, with what happened; of hidden ones it only counts, so that nothing a model is shown afterwards can give them
    away.
    ``read``: ``program`` takes the code in a reply; ``expression`` takes its answer and makes it the value of
    ``answer()``, for tasks whose result is a number or a formula.
    ``seconds`` is each test's processor time, rounded up, so that a busy machine turns no right program wrong; of wall
    clock it may take five times as long. ``memory`` in bytes for all of a solution's processes.

    Raises:
        DataError: a task without hidden tests, where they are to judge.
        SandboxError: this machine has no sandbox, or only a weaker one and ``allow_weaker`` is not set.
    """

    name: ClassVar[str] = "execution"

    tests: Literal["hidden", "visible"] = "hidden"
    read: Literal["program", "expression"] = "program"
    seconds: float = Field(default=2.0, gt=0, le=600, allow_inf_nan=False)
    memory: int = Field(default=256 * 2**20, ge=64 * 2**20)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def own_source(self) -> str:
        """This class, what reads the program and what runs inside: all of it decides."""
        parts = (super().own_source(), _source(), Path(reading.__file__).read_text(encoding="utf-8"))
        return "\n".join(parts)

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises SandboxError on a machine without the sandbox, DataError for a task without the tests that judge."""
        open_sandbox(self.sandbox, allow_weaker=self.allow_weaker)
        if self.tests == "hidden":
            for task in chain(*tasks.values()):
                tests_of(task)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        visible, hidden = (visible_of(task), []) if self.tests == "visible" else tests_of(task)
        if not visible and not hidden:
            return [
                Feedback(
                    solution=s.id, score=None, mark=Mark.invalid, source="execution",
                    comment="the task has no visible tests",
                )
                for s in solutions
            ]  # fmt: skip
        programs = [self._program(s, task) for s in solutions]
        different = list(dict.fromkeys(programs))  # the same program is run once
        judged = await asyncio.gather(*(self._judge(task, p, visible, hidden) for p in different))
        said = dict(zip(different, judged, strict=True))
        return [said[p].model_copy(update={"solution": s.id}) for s, p in zip(solutions, programs, strict=True)]

    async def _judge(self, task: Task, program: str | None, visible: Sequence[str], hidden: Sequence[str]) -> Feedback:
        found: Sequence[str] = [NO_PROGRAM] * (len(visible) + len(hidden))
        limit = None
        if program is not None:
            found, outcome = await run_tests(
                _whole(program, self.read, task.private), [*visible, *hidden], task.private, seconds=self.seconds,
                memory=self.memory, kind=self.sandbox, allow_weaker=self.allow_weaker,
            )  # fmt: skip
            limit = outcome.limit_hit
        seen = found[: len(visible)]
        that_judge = found[len(visible) :] if hidden else seen
        passed = sum(not why for why in that_judge)
        evidence: dict[str, Any] = {"passed": passed, self.tests: len(that_judge)}
        if visible and hidden:
            evidence["visible_passed"] = sum(not why for why in seen)
        failed = next((i for i, why in enumerate(seen) if why), None)
        if failed is not None:
            evidence["failed"] = f"{visible[failed][:SHOWN]}\n{seen[failed][:SHOWN]}"
        if limit:
            evidence["limit"] = limit
        return Feedback(
            solution="", score=passed / len(that_judge), source="execution", answer=program, evidence=evidence,
            mark=Mark.right if passed == len(that_judge) else Mark.wrong,
            comment=NO_PROGRAM if program is None else f"{passed} of {len(that_judge)} {self.tests} tests passed",
        )  # fmt: skip

    def _program(self, solution: Solution, task: Task) -> str | None:
        if self.read == "program":
            return program_in(solution.text)
        gold = task.private.get("answer")
        return extract(solution.text, "auto", None if gold is None else str(gold))


def visible_of(task: Task) -> list[str]:
    """The tests of a task that whoever solves it may see."""
    tests = task.private.get("tests")
    return [str(t) for t in tests.get("visible", ())] if isinstance(tests, Mapping) else []


def tests_of(task: Task) -> tuple[list[str], list[str]]:
    """(visible, hidden) tests of a task. Raises DataError when there are no hidden ones."""
    tests = task.private.get("tests")
    hidden = list(tests.get("hidden", ())) if isinstance(tests, Mapping) else []
    if not hidden or not all(isinstance(t, str) for t in hidden):
        raise DataError(
            f"a task of {task.source} has no hidden tests to execute: {task.question[:80]!r}.",
            'Give it private data tests = {"visible": [...], "hidden": [...]}, or judge it with verify.',
        )
    return visible_of(task), hidden


async def run_tests(
    program: str,
    tests: Sequence[str],
    private: Mapping[str, Any],
    *,
    seconds: float = 2.0,
    memory: int = 256 * 2**20,
    kind: Kind = "auto",
    allow_weaker: bool = False,
) -> tuple[list[str], Outcome]:
    """For each test nothing, or why it failed; and what became of the run. ``private`` as ``Execution`` says.

    The first test that runs out of time is the last that is run: the others failed, and say why.

    Raises:
        Killed: something that the tests need was killed from outside, time and again.
    """
    sandbox = open_sandbox(kind, allow_weaker=allow_weaker)
    job = {
        "setup": str(private.get("setup", "")),
        "names": list(private.get("names", ["answer"])),
        "seconds": PATIENCE * seconds,
        "tests": list(tests),
    }
    cpu = math.ceil(seconds)
    limits = Limits(
        seconds=min(3600.0, PATIENCE * (seconds * len(tests) + 2)), cpu_seconds=cpu * len(tests) + 2.0, memory=memory
    )
    for _ in range(TRIES):
        outcome = await sandbox.run(
            _inside(), ["python", "-I", "-S", "tester.py"], limits, stdin=_frame([program, {"cpu": cpu}]) + _frame(job)
        )
        if outcome.limit_hit or outcome.exit_code not in (proctor.OUTSIDE, 128 + signal.SIGKILL):
            break
    else:
        raise Killed(f"the tests were killed from outside {TRIES} times: is the machine out of memory?")
    found: list[str] = [outcome.limit_hit or "the tests did not get that far"] * len(tests)
    for line in outcome.stdout.splitlines():
        said = json.loads(line)  # the tester's own words: nothing else writes here
        found[said["test"]] = "" if said["passed"] else storable(str(said["why"])) or "failed"
    return found, outcome


class Killed(Exception):
    """There is no verdict, and it is nobody's fault in here."""


def _or_invalid(judge: Callable[..., Awaitable[Feedback]]) -> Callable[..., Awaitable[Feedback]]:
    """The same, but where the tests were killed from outside there is no score."""

    async def judged(self: Execution, task: Task, program: str | None, *tests: Sequence[str]) -> Feedback:
        try:
            return await judge(self, task, program, *tests)
        except Killed as e:
            return Feedback(
                solution="", score=None, mark=Mark.invalid, source="execution", answer=program, comment=str(e)
            )

    return judged


# not in the class: its text is what ledgers know it by, and it judges as it did
Execution._judge = _or_invalid(Execution._judge)  # type: ignore[method-assign,assignment]  # on purpose


def _whole(program: str, read: str, private: Mapping[str, Any]) -> str:
    if read == "expression":
        return f"def answer():\n    return (\n{program}\n)\n"
    return f"{private.get('prompt', '')}\n{program}\n" if private.get("prompt") else f"{program}\n"


def _frame(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return struct.pack(">I", len(data)) + data


@cache
def _inside() -> dict[str, str]:
    """What is run: the rules, and around them what sees to it that they are kept."""
    files = {"tester": proctor.__file__, "offspring": offspring.__file__, "guard": guard.__file__}
    texts = {f"{name}.py": Path(str(file)).read_text(encoding="utf-8") for name, file in files.items()}
    return {**texts, "rules.py": _source()}


@cache
def _source() -> str:
    """The rules: what a test says of a program."""
    return Path(tester.__file__).read_text(encoding="utf-8")
