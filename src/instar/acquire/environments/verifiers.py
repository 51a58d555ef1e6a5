"""An environment of the library verifiers: its rows are tasks, and its own rollout and rubric play and score them.

Library: verifiers 0.1.14 (Prime Intellect, MIT), https://github.com/PrimeIntellect-ai/verifiers: ``load_environment``,
``MultiTurnEnv``, ``Rubric``. Departures: answers are the policy's, replayed; tools are told in words, and called in
Hermes's form.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar.acquire.environments.program import Rewarded
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.records import Message, Role, Task, hash_of


class Verifiers(Rewarded):
    """The environment that ``module`` makes by its ``load_environment(**args)``: an installed package of the
    interpreter ``python``, or a file ``.py``. A task is a row of its data set (``data``: ``train`` or ``eval``).

    Single-turn, multi-turn and tool environments are played by the library itself, and scored by its rubric, whose
    reward is 0 to 1 (else set ``lowest`` and ``highest``). A rubric that asks a judge, and a data set that is fetched,
    need ``network = true``. An episode is over where the library says so; one that reaches ``turns`` first has score 0.

    Two rows of the same messages are one task.

    Raises:
        ConfigError: no such interpreter, library or module; one that is no ``MultiTurnEnv``, or scores groups.
        DataError: there are fewer rows than wanted; a message that is no text.
    """

    name: ClassVar[str] = "verifiers"
    world: ClassVar[str] = "verifiers_world.py"
    library: ClassVar[str] = "verifiers"

    module: str = Field(min_length=1, max_length=1_000)
    args: Mapping[str, Any] = {}
    data: Literal["train", "eval"] = "train"

    def what(self) -> str:
        return self.module

    def settings(self) -> dict[str, Any]:
        """What ``verifiers_world.py`` is made of."""
        return {
            "module": str(Path(self.module).resolve()) if self.files() else self.module, "args": dict(self.args),
            "data": self.data, "lowest": self.lowest, "highest": self.highest,
        }  # fmt: skip

    def files(self) -> Sequence[str]:
        return (self.module,) if self.module.endswith(".py") else ()

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        check_wanted(wanted)
        total = sum(wanted.values())
        count = int(self.asked("count", {})["count"])
        rows = list(range(count))
        random.Random(f"verifiers|{sorted(seeds.items())}").shuffle(rows)
        tasks: dict[str, Task] = {}
        at = 0
        while len(tasks) < total and at < count:  # rows of the same messages are one task, so some more may be needed
            some = rows[at : at + total - len(tasks)]
            at += len(some)
            for of in self.pages("tasks", {"rows": some}):
                task = self._task(of)
                tasks.setdefault(task.canonical, task)
        if len(tasks) < total:
            raise DataError(
                f"{self.module} has {len(tasks):,} tasks in {count:,} rows; {total:,} are wanted.", "Ask for fewer."
            )
        rest = iter(tasks.values())
        return {name: [next(rest) for _ in range(wanted[name])] for name in wanted}

    def _task(self, of: Mapping[str, Any]) -> Task:
        shown = tuple(Message(role=Role(m["role"]), content=m["content"]) for m in of["messages"])
        name = Path(self.module).stem
        return Task(
            messages=shown,
            ability=name,
            canonical=f"verifiers:{name}:{hash_of('verifiers', [(m.role.value, m.content) for m in shown])[3:27]}",
            source=self.name,
            private={"row": int(of["row"])},
        )
