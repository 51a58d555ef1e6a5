"""A folder of Python files as programming tasks: functions whose tests stand beside them, and run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.documents.functions import Function, Passed, functions
from instar.acquire.documents.limits import Limits
from instar.acquire.documents.read import read_folder
from instar.acquire.feedback.execution import Killed, run_tests
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Source
from instar.records import Message, Role, Task
from instar.sandbox.room import Kind

SHOWN = 20
"""Functions that were passed over whose reasons go into a run's notes."""
AT_ONCE = 4


class CodeFolder(Source):
    """Top-level functions of the ``.py`` files in ``folder``: asked for by their head and docstring, judged by
    ``execution``. Tests are the examples of their docstrings that show a plain value, and the asserts of test files
    (``test_*.py``) that call this function alone; the first ``shown`` stand in the question, the rest are hidden. A
    function is a task if it has ``least`` tests or more, needs no more than its own file and the standard library, and
    passes all of them in the sandbox; of copies the first counts. Nothing is imported, nothing is run outside the
    sandbox.

    What was passed over, and why, stands with the first training task (``unread``). Each function is in one set. Tests
    that take nearly ``seconds`` of a processor may pass on one machine and not on another: then so do the sets differ.

    Raises:
        DataError: a folder without such functions, or fewer than are wanted, with the first reasons.
        SandboxError: this machine has no sandbox, or only a weaker one and ``allow_weaker`` is not set.
    """

    name: ClassVar[str] = "code_folder"

    folder: str = Field(min_length=1)
    shown: int = Field(default=1, ge=0)
    least: int = Field(default=3, ge=1)
    seconds: float = Field(default=2.0, gt=0, le=600, allow_inf_nan=False)
    limits: Limits = Limits()
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        shelf = read_folder(Path(self.folder).expanduser(), self.limits, (".py",))
        found, passed = functions(shelf.documents, max(self.least, self.shown + 1))
        with ThreadPoolExecutor(1) as apart:  # a source may be asked from inside a loop
            failing = apart.submit(asyncio.run, self._failing(found)).result()
        passed += [Passed(f"{f.file}: {f.name}", why) for f, why in zip(found, failing, strict=True) if why]
        right = [f for f, why in zip(found, failing, strict=True) if not why]
        random.Random(f"code_folder|{seeds.get('sealed', 0)}").shuffle(right)
        if sum(wanted.values()) > len(right):
            said = "".join(f"\n  {p.name}: {p.reason}" for p in passed[:3])
            raise DataError(
                f"{self.folder} has {len(right):,} functions with tests that run, and {sum(wanted.values()):,} are "
                f"wanted; {len(passed):,} were passed over{':' if said else '.'}{said}",
                "Ask for fewer, give more tests (in docstrings, or asserts in test_*.py), or set shown or least lower.",
            )
        drawn = {name: [self._task(right.pop()) for _ in range(wanted[name])] for name in order}
        notes = [f"{p.name}: {p.reason}" for p in passed]
        notes += [f"{u.name} was not read: {u.reason}" for u in shelf.unread if u.name.endswith(".py")]
        if notes and drawn.get("train"):
            more = [f"and {len(notes) - SHOWN} more"] if len(notes) > SHOWN else []
            first = drawn["train"][0]
            private = {**first.private, "unread": [*notes[:SHOWN], *more]}
            drawn["train"][0] = first.model_copy(update={"private": private})
        return {name: drawn[name] for name in wanted}

    async def _failing(self, found: Sequence[Function]) -> list[str]:
        """Of each function why it does not pass its own tests, or nothing."""
        few = asyncio.Semaphore(AT_ONCE)

        async def of(f: Function) -> str:
            async with few:
                try:
                    why, _ = await run_tests(
                        f"{f.before}\n{f.source}\n", f.tests, {"names": [f.name]}, seconds=self.seconds,
                        kind=self.sandbox, allow_weaker=self.allow_weaker,
                    )  # fmt: skip
                except Killed as e:
                    return str(e)
            failed = [w for w in why if w]
            return f"{len(failed)} of its {len(why)} tests fail: {failed[0][:120]}" if failed else ""

        return list(await asyncio.gather(*(of(f) for f in found)))

    def _task(self, f: Function) -> Task:
        shown, hidden = list(f.tests[: self.shown]), list(f.tests[self.shown :])
        question = f"Complete this Python function. Write the whole function.\n```python\n{f.asks}\n```"
        if shown:
            question += "\nYour code should pass this test:\n" + "\n".join(shown)
        private: dict[str, Any] = {
            "tests": {"visible": shown, "hidden": hidden}, "names": [f.name], "prompt": f.before,
            "answer": f.source, "file": f.file,
        }  # fmt: skip
        return Task(
            messages=(Message(role=Role.user, content=question),), ability="code", canonical=f"code_folder:{f.digest}",
            source="code_folder", private=private,
        )  # fmt: skip
