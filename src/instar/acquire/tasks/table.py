"""Rows with columns made into tasks: what every tabular source does alike, once it has read its file."""

from __future__ import annotations

import datetime
import decimal
import difflib
import hashlib
import inspect
import math
import random
import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import model_validator

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.sets import SETS, check_wanted, prove_disjoint
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task


@dataclass(frozen=True)
class Rows:
    """One table as it was read. ``label`` is its name in error messages, ``stem`` the ability of rows without one."""

    label: str
    stem: str
    source: str
    rows: Sequence[tuple[int, Mapping[str, Any]]]
    """Each row's number, as the reader of the table would count it, and its columns."""
    unit: str = "row"


class Table(Source):
    """A table that is split by the sets' seeds (sealed first), or one table for each set.

    ``question``, ``answer`` and ``ability`` name the columns; where a row has no ability, the table's name is used.
    Every other column goes to the task's private data under its own name, for your checker. Rows with the same
    canonical content count once.

    Raises:
        ConfigError: no table, or both one to split and one for a set.
        DataError: a table that is missing, empty or malformed (with the row), or holds too few distinct rows;
            or two tables that share rows.
    """

    train: str | None = None
    dev: str | None = None
    gate: str | None = None
    sealed: str | None = None
    question: str = "question"
    answer: str = "answer"
    ability: str | None = "ability"

    whole: ClassVar[str] = "path"
    """The field that names the one table to split."""
    noun: ClassVar[str] = "file"
    sample: ClassVar[str] = "FILE"
    """What a table's name looks like, for hints."""

    @abstractmethod
    def _read(self, table: str) -> Rows:
        """One table, whole. Raises DataError when it cannot be read or is empty."""

    @model_validator(mode="after")
    def _one_kind_of_table(self) -> Table:
        own = [s for s in SETS if getattr(self, s) is not None]
        if self._whole() is None and not own:
            raise ConfigError(
                f"{self.name} has no {self.noun}.",
                f"Give {self.whole}, or one {self.whole} each for train, dev, gate and sealed.",
            )
        if self._whole() is not None and own:
            raise ConfigError(
                f"{self.name} has both {self.whole} and {own[0]}.",
                f"Give one {self.noun} to split, or one {self.noun} a set.",
            )
        return self

    def own_source(self) -> str:
        """This class and what it has from here: how rows become tasks decides as much as how they are read."""
        return inspect.getsource(type(self)) + inspect.getsource(Table)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        drawn: dict[str, list[Task]] = {}
        whole = self._whole()
        left: list[Task] = self._tasks(whole) if whole is not None else []
        rows = len(left)
        left, doubled = _distinct(left)
        for name in order:
            if whole is None:
                table = getattr(self, name)
                if table is None:
                    raise DataError(
                        f"No {self.noun} for the {name} set.",
                        f"Give {name} = '{self.sample}', or ask for no {name}.",
                    )
                tasks = self._tasks(table)
                rows = len(tasks)
                left, doubled = _distinct(tasks)
            # a set's seed decides which of the remaining rows it takes; sorted first, so that their order does not
            left = sorted(left, key=lambda t: t.canonical)
            random.Random(f"{name}|{seeds.get(name, 0)}").shuffle(left)
            if len(left) < wanted[name]:
                where = whole or getattr(self, name)
                raise DataError(
                    f"{where} has {rows} rows, {doubled} of them the same as another; {len(left)} are left for the "
                    f"{name} set, which wants {wanted[name]} (all sets: {sum(wanted.values())}).",
                    "Ask for fewer tasks or add rows.",
                )
            drawn[name], left = left[: wanted[name]], left[wanted[name] :]
        prove_disjoint({name: tasks for name, tasks in drawn.items() if tasks})  # separate tables may share rows
        return {name: drawn[name] for name in wanted}

    def distinct(self) -> list[Task]:
        """Every distinct task of the one table, in its order, without splitting it. Raises as a call does."""
        whole = self._whole()
        if whole is None:
            raise ConfigError(f"{self.name} has no {self.noun} to read whole.", f"Give {self.whole}.")
        return _distinct(self._tasks(whole))[0]

    def _whole(self) -> str | None:
        value: str | None = getattr(self, self.whole)
        return value

    def _tasks(self, table: str) -> list[Task]:
        found = self._read(table)
        seen: dict[str, int] = {}
        return [self._task(found, number, row, seen) for number, row in found.rows]

    def _task(self, table: Rows, number: int, row: Mapping[str, Any], seen: dict[str, int]) -> Task:
        where, mend = f"{table.label}, {table.unit} {number}", f"Mend this {table.unit}."
        for column in (self.question, self.answer):
            if column not in row:
                raise DataError(
                    f"{where}: no column {column!r}.",
                    f"The columns are: {', '.join(row) or 'none'}. Set question and answer to the ones to use.",
                )
        question, gold = row[self.question], row[self.answer]
        if not isinstance(question, str) or not question.strip():
            raise DataError(f"{where}: the question is {cut(repr(question))}, not a text.", mend)
        infinite = isinstance(gold, float) and not math.isfinite(gold)
        if isinstance(gold, bool) or not isinstance(gold, (str, int, float)) or infinite:
            raise DataError(
                f"{where}: the answer is {cut(repr(gold))}, not a text or a number.",
                f"Mend this {table.unit}; what only your own checker reads can stand in another column.",
            )
        if self.answer != "answer" and "answer" in row:
            raise DataError(
                f"{where}: the column 'answer' would be hidden by {self.answer!r}.",
                "Rename or remove one of them.",
            )
        ability = row.get(self.ability) if self.ability else None
        others = {k: v for k, v in row.items() if k not in (self.question, self.answer, self.ability)}
        return Task(
            messages=(Message(role=Role.user, content=question),),
            ability=str(ability) if ability not in (None, "") else table.stem,
            canonical=canonical(question, row),
            source=self._source(table, number, row, seen),
            private={**others, "answer": str(gold)},
        )

    def _source(self, table: Rows, number: int, row: Mapping[str, Any], seen: dict[str, int]) -> str:
        """Where a task comes from. ``seen`` holds the ids met so far in this table, with their rows."""
        return table.source


class Named(Table):
    """A table whose rows may have a name of their own.

    ``id`` names the column, if there is one: a task's source then ends with ``#`` and the row's id, and an id that is
    missing or stands twice is refused. The column goes to the private data too.
    """

    id: str | None = None

    def own_source(self) -> str:
        return super().own_source() + inspect.getsource(Named)

    def _source(self, table: Rows, number: int, row: Mapping[str, Any], seen: dict[str, int]) -> str:
        if self.id is None:
            return table.source
        where = f"{table.label}, {table.unit} {number}"
        if self.id not in row:
            raise DataError(
                f"{where}: no column {self.id!r}.",
                f"The columns are: {', '.join(row) or 'none'}. Set id to one of them, or leave it out.",
            )
        value = row[self.id]
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise DataError(f"{where}: the id is {cut(repr(value))}, not a text or a whole number.", "Mend this row.")
        first = seen.setdefault(str(value), number)
        if first != number:
            raise DataError(
                f"{where}: the id {cut(repr(value))} is also that of {table.unit} {first}.",
                "Give each row an id of its own, or leave the id column out.",
            )
        return f"{table.source}#{value}"


def plain(value: Any) -> Any:
    """A typed value as a record can hold it: dates and decimals as text, NaN as None, bytes as their size and hash."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID, datetime.timedelta)):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return f"{type(value).__name__} {cut(str(value))}"


def no_file(path: Path) -> DataError:
    """The error for a file that is not there."""
    return DataError(f"There is no file {path}.{nearest(path)}", f"Relative paths are looked up from {Path.cwd()}.")


def nearest(path: Path) -> str:
    """What follows the sentence about a file that is not there: the one beside it that was probably meant, or ""."""
    try:
        stems = sorted(p.stem for p in path.parent.iterdir() if p.suffix == path.suffix)
    except OSError:
        return ""
    close = difflib.get_close_matches(path.stem, stems, n=1)
    return f" Did you mean {path.parent / (close[0] + path.suffix)}?" if close else ""


def cut(text: str, length: int = 80) -> str:
    """A text in at most ``length`` characters, for messages."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _distinct(tasks: Sequence[Task]) -> tuple[list[Task], int]:
    """The first task of each canonical content, and how many were left out."""
    kept: dict[str, Task] = {}
    for task in tasks:
        kept.setdefault(task.canonical, task)
    return list(kept.values()), len(tasks) - len(kept)
