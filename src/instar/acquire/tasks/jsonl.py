"""Tasks from your own JSONL files: one file that is split, or one file a set."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import model_validator

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.sets import SETS, check_wanted, prove_disjoint
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

_Row = tuple[int, dict[str, Any]]
"""The line number (from 1) and the object on it."""


class Jsonl(Source):
    """One JSON object a line. Either ``path``, shuffled by the sets' seeds and split (sealed first), or one path a set.

    ``question``, ``answer`` and ``ability`` name the columns; where a row has no ability, the file's stem is used.
    Every other column goes to the task's private data under its own name, for your checker. Rows with the same
    canonical content count once.

    Raises:
        ConfigError: no path, or both kinds of path.
        DataError: a file that is missing, empty or malformed (with the line), or holds too few distinct rows;
            or two files that share rows.
    """

    name: ClassVar[str] = "jsonl"

    path: str | None = None
    train: str | None = None
    dev: str | None = None
    gate: str | None = None
    sealed: str | None = None
    question: str = "question"
    answer: str = "answer"
    ability: str | None = "ability"

    @model_validator(mode="after")
    def _one_kind_of_path(self) -> Jsonl:
        own = [s for s in SETS if getattr(self, s) is not None]
        if self.path is None and not own:
            raise ConfigError("jsonl has no file.", "Give path, or one path each for train, dev, gate and sealed.")
        if self.path is not None and own:
            raise ConfigError(f"jsonl has both path and {own[0]}.", "Give one file to split, or one file a set.")
        return self

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        drawn: dict[str, list[Task]] = {}
        left: list[Task] = self._tasks(self.path) if self.path is not None else []
        rows = len(left)
        left, doubled = _distinct(left)
        for name in order:
            if self.path is None:
                file = getattr(self, name)
                if file is None:
                    raise DataError(
                        f"No file for the {name} set.", f"Give {name} = 'FILE.jsonl', or ask for no {name}."
                    )
                tasks = self._tasks(file)
                rows = len(tasks)
                left, doubled = _distinct(tasks)
            # a set's seed decides which of the remaining rows it takes; sorted first, so that the file's order does not
            left = sorted(left, key=lambda t: t.canonical)
            random.Random(f"{name}|{seeds.get(name, 0)}").shuffle(left)
            if len(left) < wanted[name]:
                where = self.path or getattr(self, name)
                raise DataError(
                    f"{where} has {rows} rows, {doubled} of them the same as another; {len(left)} are left for the "
                    f"{name} set, which wants {wanted[name]} (all sets: {sum(wanted.values())}).",
                    "Ask for fewer tasks or add rows.",
                )
            drawn[name], left = left[: wanted[name]], left[wanted[name] :]
        prove_disjoint({name: tasks for name, tasks in drawn.items() if tasks})  # separate files may share rows
        return {name: drawn[name] for name in wanted}

    def _tasks(self, file: str) -> list[Task]:
        path = Path(file).expanduser()
        return [self._task(path, number, row) for number, row in _rows(path)]

    def _task(self, path: Path, number: int, row: dict[str, Any]) -> Task:
        for column in (self.question, self.answer):
            if column not in row:
                raise DataError(
                    f"{path}, line {number}: no column {column!r}.",
                    f"The columns are: {', '.join(row) or 'none'}. Set question and answer to the ones to use.",
                )
        question, gold = row[self.question], row[self.answer]
        if not isinstance(question, str) or not question.strip():
            raise DataError(
                f"{path}, line {number}: the question is {_cut(repr(question))}, not a text.", "Mend this line."
            )
        if isinstance(gold, bool) or not isinstance(gold, (str, int, float)):
            raise DataError(
                f"{path}, line {number}: the answer is {_cut(repr(gold))}, not a text or a number.",
                "Mend this line; what only your own checker reads can stand in another column.",
            )
        if self.answer != "answer" and "answer" in row:
            raise DataError(
                f"{path}, line {number}: the column 'answer' would be hidden by {self.answer!r}.",
                "Rename or remove one of them.",
            )
        ability = row.get(self.ability) if self.ability else None
        others = {k: v for k, v in row.items() if k not in (self.question, self.answer, self.ability)}
        return Task(
            messages=(Message(role=Role.user, content=question),),
            ability=str(ability) if ability not in (None, "") else path.stem,
            canonical=canonical(question, row),
            source=f"jsonl/{path.name}",
            private={**others, "answer": str(gold)},
        )


def _rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append((number, _object(path, number, line)))
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.", f"Relative paths are looked up from {Path.cwd()}.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}).", "Save it as UTF-8."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Give the path of a JSONL file.") from error
    if not rows:
        raise DataError(f"{path} is empty.", "Write one JSON object a line, with a question and an answer.")
    return rows


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}, line {number} is not JSON ({error}): {_cut(line.strip())}", "Mend this line."
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{path}, line {number} is not a JSON object: {_cut(line.strip())}", "Mend this line.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _distinct(tasks: Sequence[Task]) -> tuple[list[Task], int]:
    """The first task of each canonical content, and how many were left out."""
    kept: dict[str, Task] = {}
    for task in tasks:
        kept.setdefault(task.canonical, task)
    return list(kept.values()), len(tasks) - len(kept)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
