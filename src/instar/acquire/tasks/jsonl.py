"""Tasks from your own JSONL files: one file that is split, or one file a set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from instar.acquire.tasks.table import Rows, Table, Twice, check_file, cut, no_file, once
from instar.errors import DataError

_Row = tuple[int, dict[str, Any]]
"""The line number (from 1) and the object on it."""


class Jsonl(Table):
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
    sample: ClassVar[str] = "FILE.jsonl"

    path: str | None = None

    def _read(self, table: str) -> Rows:
        path = Path(table).expanduser()
        return Rows(str(path), path.stem, f"jsonl/{path.name}", _rows(path), "line")


def _rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append((number, _object(path, number, line)))
    except FileNotFoundError:
        raise no_file(path) from None
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
        value = json.loads(line, parse_constant=_no_constant, object_pairs_hook=once)
    except Twice as error:
        raise DataError(f"{path}, line {number}: {error}: {cut(line.strip())}", "Mend this line.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}, line {number} is not JSON ({error}): {cut(line.strip())}", "Mend this line."
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{path}, line {number} is not a JSON object: {cut(line.strip())}", "Mend this line.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number: JSON has null for what is missing")
