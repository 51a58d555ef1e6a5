"""Judge by running: the program in a reply against tests it cannot see, in a sandbox, with a verdict it cannot forge.

How the verdict is kept out of the program's reach: docs/design/0003-untrusted-code.md, section 4.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar.acquire.feedback import tester
from instar.acquire.feedback.extract import extract
from instar.acquire.feedback.program import program_in
from instar.errors import DataError
from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task
from instar.sandbox import Limits, Outcome, open_sandbox
from instar.sandbox.room import Kind

PATIENCE = 5
"""Wall clock that a test may take, in its processor times: a machine may be busy, and a program may sleep."""
SHOWN = 300
"""Characters of a failed visible test, and of what came of it, in the evidence."""


class Execution(Judge):
    """Score is the share of hidden tests passed; right is all of them. Visible ones only inform.

    A task's private data: ``tests`` = {"visible": [...], "hidden": [...]}, each a piece of Python that raises when it
    fails; ``names``, the functions that the tests call; ``setup``, what stands before each test; ``prompt``, what
    stands before the program (a function's head and docstring, imports). Evidence names the first *visible* test that
    failed; of hidden ones it only counts, so that nothing a model is shown afterwards can give them away.

    ``read``: ``program`` takes the code in a reply; ``expression`` takes its answer and makes it the value of
    ``answer()``, for tasks whose result is a number or a formula.
    ``seconds`` is each test's processor time, rounded up, so that a busy machine turns no right program wrong; of wall
    clock it may take five times as long. ``memory`` in bytes for all of a solution's processes.

    Raises:
        DataError: a task without hidden tests.
        SandboxError: this machine has no sandbox, or only a weaker one and ``allow_weaker`` is not set.
    """

    name: ClassVar[str] = "execution"

    read: Literal["program", "expression"] = "program"
    seconds: float = Field(default=2.0, gt=0, le=600, allow_inf_nan=False)
    memory: int = Field(default=256 * 2**20, ge=64 * 2**20)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def own_source(self) -> str:
        """This class, what reads the program and what runs inside: all of it decides."""
        parts = (super().own_source(), _source(), Path(__file__).with_name("program.py").read_text(encoding="utf-8"))
        return "\n".join(parts)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        visible, hidden = tests_of(task)
        programs = [self._program(s, task) for s in solutions]
        different = list(dict.fromkeys(p for p in programs if p is not None))  # the same program is run once
        judged = await asyncio.gather(*(self._judge(task, p, visible, hidden) for p in different))
        said = dict(zip(different, judged, strict=True))
        nothing = Feedback(
            solution="", score=0.0, mark=Mark.wrong, source="execution", comment="no program found",
            evidence={"passed": 0, "hidden": len(hidden)},
        )  # fmt: skip
        return [
            (nothing if p is None else said[p]).model_copy(update={"solution": s.id})
            for s, p in zip(solutions, programs, strict=True)
        ]

    async def _judge(self, task: Task, program: str, visible: Sequence[str], hidden: Sequence[str]) -> Feedback:
        found, outcome = await run_tests(
            _whole(program, self.read, task.private), [*visible, *hidden], task.private, seconds=self.seconds,
            memory=self.memory, kind=self.sandbox, allow_weaker=self.allow_weaker,
        )  # fmt: skip
        seen, unseen = found[: len(visible)], found[len(visible) :]
        passed = sum(not why for why in unseen)
        right = passed == len(hidden)
        evidence: dict[str, Any] = {"passed": passed, "hidden": len(hidden)}
        if visible:
            evidence["visible_passed"] = sum(not why for why in seen)
        failed = next((i for i, why in enumerate(seen) if why), None)
        if failed is not None:
            evidence["failed"] = f"{visible[failed][:SHOWN]}\n{(seen[failed] or '')[:SHOWN]}"
        if outcome.limit_hit:
            evidence["limit"] = outcome.limit_hit
        return Feedback(
            solution="", score=passed / len(hidden), mark=Mark.right if right else Mark.wrong, source="execution",
            comment=f"{passed} of {len(hidden)} hidden tests passed", answer=program, evidence=evidence,
        )  # fmt: skip

    def _program(self, solution: Solution, task: Task) -> str | None:
        if self.read == "program":
            return program_in(solution.text)
        gold = task.private.get("answer")
        return extract(solution.text, "auto", None if gold is None else str(gold))


def tests_of(task: Task) -> tuple[list[str], list[str]]:
    """(visible, hidden) tests of a task. Raises DataError when there are no hidden ones."""
    tests = task.private.get("tests")
    hidden = list(tests.get("hidden", ())) if isinstance(tests, Mapping) else []
    if not hidden or not all(isinstance(t, str) for t in hidden):
        raise DataError(
            f"a task of {task.source} has no hidden tests to execute: {task.question[:80]!r}.",
            'Give it private data tests = {"visible": [...], "hidden": [...]}, or judge it with verify.',
        )
    return [str(t) for t in (tests or {}).get("visible", ())], hidden


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
    """For each test nothing, or why it failed; and what became of the run. ``private`` as ``Execution`` says."""
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
    outcome = await sandbox.run(
        {"tester.py": _source()},
        ["python", "-I", "-S", "tester.py"],
        limits,
        stdin=_frame([program, {"cpu": cpu}]) + _frame(job),
    )
    found: list[str] = [outcome.limit_hit or "the tests did not get that far"] * len(tests)
    for line in outcome.stdout.splitlines():
        said = json.loads(line)  # the tester's own words: nothing else writes here
        found[said["test"]] = "" if said["passed"] else str(said["why"]) or "failed"
    return found, outcome


def _whole(program: str, read: str, private: Mapping[str, Any]) -> str:
    if read == "expression":
        return f"def answer():\n    return (\n{program}\n)\n"
    return f"{private.get('prompt', '')}\n{program}\n" if private.get("prompt") else f"{program}\n"


def _frame(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return struct.pack(">I", len(data)) + data


@cache
def _source() -> str:
    return Path(tester.__file__).read_text(encoding="utf-8")
