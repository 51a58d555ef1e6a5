"""The single-turn Python tasks of the Berkeley Function Calling Leaderboard, out of its wheel: questions, functions
described in JSON, and the calls that are right.

Source: Patil et al., *The Berkeley Function Calling Leaderboard (BFCL)*; data of bfcl-eval 2026.3.23, Apache-2.0. The
wheel is taken alone, for its dependencies pin numpy and bring 40 packages: ``pip install --no-deps
bfcl-eval==2026.3.23`` (1.9 MB). Nothing of it is imported.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from instar.acquire.feedback.function_calls import right_answer, told
from instar.acquire.tasks.sets import check_wanted
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

INSTALL = "pip install --no-deps bfcl-eval==2026.3.23"
ASKS = (
    "{question}\n\nYou may call these functions:\n{functions}\n\n"
    "Reply with the calls that answer it and nothing else, as [name(argument=value)]."
)
Category = Literal["simple_python", "multiple", "parallel", "parallel_multiple"]


class Bfcl(Source):
    """400 tasks of one function and one call (``simple_python``), 200 each of several functions (``multiple``), several
    calls (``parallel``) and both (``parallel_multiple``).

    Told right by ``verify`` with ``checker = "function_call"``: by BFCL's rules, not by running anything. A task's
    ability is its category; every set has equal shares of each as far as each reaches. Two tasks of one question and
    the same functions are one.

    Raises:
        ConfigError: the wheel is not installed, or holds other files.
        DataError: more tasks wanted than there are, with the number.
    """

    name: ClassVar[str] = "bfcl"

    categories: tuple[Category, ...] = Field(default=("simple_python",), min_length=1)

    @field_validator("categories")
    @classmethod
    def _each_once(cls, value: tuple[Category, ...]) -> tuple[Category, ...]:
        return tuple(dict.fromkeys(value))

    def validate_config(self) -> None:
        """Raises ConfigError where the wheel is not installed."""
        _folder()

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        left = {c: list({t.canonical: t for t in _tasks(c)}.values()) for c in self.categories}
        there, asked = sum(map(len, left.values())), sum(wanted.values())
        if asked > there:
            raise DataError(
                f"BFCL has {there} tasks in {', '.join(self.categories)}; {asked} are wanted over all sets.",
                "Ask for fewer (sizes), or for more categories: simple_python, multiple, parallel, parallel_multiple.",
            )
        drawn: dict[str, list[Task]] = {name: [] for name in wanted}
        for name in order:
            for category, tasks in left.items():
                random.Random(f"{name}|{category}|{seeds.get(name, 0)}").shuffle(tasks)
            while len(drawn[name]) < wanted[name]:
                for tasks in [t for t in left.values() if t][: wanted[name] - len(drawn[name])]:
                    drawn[name].append(tasks.pop())
        return drawn


def _folder() -> Path:
    found = importlib.util.find_spec("bfcl_eval")
    places = list(found.submodule_search_locations or ()) if found else []
    if not places:
        raise ConfigError("The tasks of BFCL are in the wheel bfcl-eval, which is not installed.", f"{INSTALL}.")
    return Path(places[0]) / "data"


def _tasks(category: str) -> list[Task]:
    asked, answers = _lines(f"BFCL_v4_{category}.json"), _lines(f"possible_answer/BFCL_v4_{category}.json")
    right = {row["id"]: row["ground_truth"] for row in answers}
    return [task_of(row["question"][0][-1]["content"], row["function"], right[row["id"]], category) for row in asked]


def _lines(name: str) -> list[dict[str, Any]]:
    path = _folder() / name
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as e:
        raise ConfigError(
            f"{path} cannot be read: {e}.", f"Another version of bfcl-eval is installed: {INSTALL}."
        ) from e


def task_of(question: str, functions: list[dict[str, Any]], calls: list[dict[str, Any]], ability: str) -> Task:
    """A task in the form in which BFCL has them: functions described in JSON, and for each call that is wanted
    ``{name: {argument: [values that are right]}}``."""
    described = told(functions)
    return Task(
        messages=(Message(role=Role.user, content=ASKS.format(question=question, functions=described)),),
        ability=ability,
        canonical=f"bfcl:{question}\n{described}",
        source=f"bfcl/{ability}",
        private={"functions": functions, "calls": calls, "answer": right_answer(functions, calls)},
    )
