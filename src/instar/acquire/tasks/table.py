"""Rows with columns made into tasks: what every tabular source does alike, once it has read its file."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import difflib
import hashlib
import inspect
import math
import random
import re
import shlex
import stat
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
from instar.legible import as_python, python_command, why_not
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

    def __post_init__(self) -> None:
        """Raises DataError for what no task can hold, with its row and column: half an emoji, say."""
        for number, row in self.rows:
            for column, value in row.items():
                why = why_not(column) or why_not(value)
                if why is not None:
                    raise DataError(
                        f"{self.label}, {self.unit} {number}, column {cut(column)!r}: it {why}.",
                        f"Mend this {self.unit}.",
                    )


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


def reachable(table: Table) -> None:
    """Raises DataError for a path of this table that leads nowhere a file could be, or to what would never end."""
    whole = getattr(table, table.whole)
    for name in (whole, *(getattr(table, s) for s in SETS)) if table.whole == "path" else (whole,):
        if name is not None:
            check_file(_expanded(name))


def _leads_to(path: Path) -> str:
    try:
        return str(path.readlink())
    except (OSError, ValueError):
        return ""  # no link


def check_file(path: Path) -> None:
    """Raises DataError for a device, a pipe or a socket: it could be read for ever. A path that leads nowhere passes:
    whoever reads it says so."""
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} cannot be the path of a file: it holds a NUL.", "Mend the path.")
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        if "annex/objects/" in _leads_to(path):
            raise _annexed(path) from None
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise DataError(f"{path} is {kind}, not a file.", "Write what it gives to a file, and give the path of that.")
    if stat.S_ISREG(mode):
        with contextlib.suppress(OSError), path.open("rb") as f:
            refuse_stand_in(path, f.read(BEGINNING))


BEGINNING = 300
"""Bytes of a file that say whether it is another thing than text."""
_TABLE = "Write its rows as CSV, JSON Lines or Parquet, and give that file."
_OTHERS = {
    b"SQLite format 3\0": ("an SQLite database", "Write a table of it out: sqlite3 -header -csv FILE 'SELECT ...'"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Office file (.xls, .doc)", "Save its table as CSV (UTF-8)."),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "Unpack it: zstd -d FILE"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it: 7z x FILE"),
    b"Rar!\x1a\x07": ("a RAR archive", "Unpack it."),
    **{b"%%PDF-%d." % n: ("a PDF document", _TABLE) for n in (1, 2)},
    b"\x89HDF": ("an HDF5 file", _TABLE),
    b"\x93NUMPY": ("a NumPy array", _TABLE),
    b"Obj\x01": ("an Avro file", _TABLE),
    **{bytes([0x80, n]): ("a pickle, which may run anything when it is read", _TABLE) for n in range(2, 6)},
}
"""By their first bytes, files of which nobody could read rows, and what to do instead."""


def refuse_stand_in(path: Path, beginning: bytes) -> None:
    """Raises DataError for a file that stands in the place of the data: a pointer of Git LFS or git-annex, a web page
    that a download came to, a workbook or an archive. ``beginning``: its first bytes."""
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise DataError(
            f"{path} is a Git LFS pointer, not the file itself.",
            f"In its repository: git lfs pull --include={path.name}",
        )
    if re.match(rb"(?:\.git)?/annex/objects/", start):
        raise _annexed(path)
    if start.startswith((b"<!doctype html", b"<html")):
        raise DataError(f"{path} is a web page, not data.", "Download the file itself: its raw link.")
    if start.startswith(b"pk\x03\x04"):
        raise DataError(f"{path} is a workbook or a zip archive.", "Save its table as CSV (UTF-8), or unpack it.")
    if start.startswith((b"arrow1", b"\xff\xff\xff\xff")):
        raise DataError(f"{path} is an Arrow file.", saved_by_datasets(path))
    if start.startswith(b"# xet version"):
        raise DataError(
            f"{path} is a Git Xet pointer, not the file itself.", "Download the file itself, or: git xet pull"
        )
    for magic, (what, mend) in _OTHERS.items():
        if beginning.startswith(magic):
            raise DataError(f"{path} is {what}.", mend)
    if beginning[257:262] == b"ustar":
        raise DataError(f"{path} is a tar archive.", f"Unpack it: tar -xf {shlex.quote(str(path))}")


def _annexed(path: Path) -> DataError:
    mend = f"In its repository: git annex get {shlex.quote(path.name)}"
    return DataError(f"{path} is a git-annex pointer, not the file itself.", mend)


def saved_by_datasets(path: Path) -> str:
    """The command that makes a Parquet file of what ``datasets`` saved there."""
    where = as_python(str(path))
    read = f"load_from_disk({where})" if path.is_dir() else f"Dataset.from_file({where})"
    split = '["train"]' if (path / "dataset_dict.json").is_file() else ""
    name = f"{path.stem}.parquet"
    command = python_command(f"import datasets; datasets.{read}{split}.to_parquet({as_python(name)})")
    return f"{command}, and give {name}."


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise DataError(f"There is no file {text}: no user here has that home folder.", "Mend the path.") from None


class Twice(ValueError):
    """An object of JSON has a key twice: which of the values is meant, nobody knows."""


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An ``object_pairs_hook`` that lets no key stand twice. Raises Twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [k for k, _ in pairs]
        raise Twice(f"the key {cut(next(k for k in keys if keys.count(k) > 1))!r} stands twice")
    return made


def answered_twice(table: Table) -> list[str]:
    """For a table of files: a sentence for each question that two rows answer otherwise, with both rows. The first of
    them counts, and that may be the wrong one; at most three are told, then how many more there are."""
    if table.whole != "path":
        return []
    found: list[str] = []
    for name in (getattr(table, field) for field in ("path", *SETS)):
        if name is None:
            continue
        rows, seen = table._read(name), dict[str, int]()
        first: dict[str, tuple[int, Any]] = {}
        for number, row in rows.rows:
            task = table._task(rows, number, row, seen)
            gold = task.private.get("answer")
            before, other = first.setdefault(task.canonical, (number, gold))
            if _said_as(gold) != _said_as(other):
                found.append(
                    f"{rows.label}, {rows.unit}s {before} and {number} ask the same ({cut(task.question, 60)!r}) and "
                    f"have two answers, {cut(str(other), 40)!r} and {cut(str(gold), 40)!r}: the first counts."
                )
    more = [f"{len(found) - 3} more rows contradict an earlier one."] if len(found) > 3 else []
    return found[:3] + more


def _said_as(gold: Any) -> Any:
    """An answer as far as it matters here: 18, "18.0" and " 18 " are one. What Decimal takes for no number, such as
    the name Nan (which equals nothing, not even itself), is a text like any other."""
    text = " ".join(str(gold).casefold().split())
    try:
        value = decimal.Decimal(text.replace(",", ""))
    except decimal.InvalidOperation:
        return text
    return value if value.is_finite() else text


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
