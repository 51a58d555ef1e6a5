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

_AT_ONCE = 50
"""Rows of one question to the program, which begins a rollout of each to see what is asked first."""


class Verifiers(Rewarded):
    """The environment that ``module`` makes by its ``load_environment(**args)``: an installed package of the
    interpreter ``python``, or a file ``.py``. A task is a row of its data set (``data``: ``train`` or ``eval``).

    Single-turn, multi-turn and tool environments are played by the library itself, and scored by its rubric, whose
    reward is 0 to 1 (else set ``lowest`` and ``highest``). A rubric that asks a judge, and a data set that is fetched,
    need ``network = true``. An episode is over where the library says so; one that reaches ``turns`` first has score 0.

    Two rows of the same messages are one task (``distinct = "messages"``), unless what else they hold tells them apart
    (``"row"``). The data set must be the same each time it is loaded: a row that is another one now is no task.

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
    distinct: Literal["messages", "row"] = "messages"

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
        names = check_wanted(wanted)
        count = int(self.asked("count", {})["count"])
        used: set[int] = set()
        seen: set[str] = set()
        sets: dict[str, list[Task]] = {}
        for name in names:  # no set hangs on the size or the seed of one that is drawn after it
            rows = list(range(count))
            random.Random(f"verifiers|{name}|{seeds.get(name, 0)}").shuffle(rows)
            left, tasks = [n for n in rows if n not in used], list[Task]()
            while len(tasks) < wanted[name]:
                some = left[: min(_AT_ONCE, wanted[name] - len(tasks))]
                left = left[len(some) :]
                if not some:
                    raise DataError(
                        f"{self.module} has {len(seen):,} tasks in {count:,} rows; "
                        f"{sum(wanted.values()):,} are wanted.",
                        'Ask for fewer, or say distinct = "row" where rows of the same messages differ otherwise.',
                    )
                used.update(some)
                for of in self.pages("tasks", {"rows": some}):
                    task = self._task(of)
                    if task.canonical not in seen:
                        seen.add(task.canonical)
                        tasks.append(task)
            sets[name] = tasks
        return {name: sets[name] for name in wanted}

    def _task(self, of: Mapping[str, Any]) -> Task:
        shown = tuple(Message(role=_role(m["role"], self.module), content=m["content"]) for m in of["messages"])
        told = [(m.role.value, m.content) for m in shown]
        key = of["check"] if self.distinct == "row" else hash_of("verifiers", told)[3:27]
        name = Path(self.module).stem
        return Task(
            messages=shown,
            ability=name,
            canonical=f"verifiers:{name}:{key}",
            source=self.name,
            private={"row": int(of["row"]), "check": str(of["check"]), "asked": str(of["asked"])},
        )


def _role(name: str, module: str) -> Role:
    """A role as instar has it. Raises DataError for one that it has not."""
    try:
        return Role("system" if name == "developer" else name)
    except ValueError as e:
        raise DataError(f"{module} begins with a message of the role {name!r:.40}.", "Take user and system.") from e
