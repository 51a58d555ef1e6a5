"""What columns are called, and what of them a message names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from instar.acquire.tasks.layouts import answer_column
from instar.acquire.tasks.options import plainly
from instar.acquire.tasks.table import cut

Rows = Sequence[Mapping[str, Any]]
MOST_NAMED = 12
"""Columns that a message names."""
SURELY = 20
"""Rows from which it is no chance that all say the same."""
IDS = ("id", "index", "idx", "no", "nr", "编号", "序号")
SORTS = ("category", "topic", "section", "tag", "class")
"""Columns that may say what a row is about as well as what its answer is."""


def filled(rows: Rows) -> Counter[str]:
    """How many rows have each column; 0 for one that is empty in most of them, which then is none to read from where
    another is called alike."""
    columns = Counter(k for row in rows for k in row)
    held = Counter(k for row in rows for k, v in row.items() if v is not None)
    return Counter({c: n if 2 * held[c] > n else 0 for c, n in columns.items()})


def with_values(rows: Rows) -> list[str]:
    """The columns that some row has a value in."""
    return list(dict.fromkeys(k for row in rows for k, v in row.items() if v is not None))


def answer_of(columns: Mapping[str, int], but: str = "") -> str | None:
    """The column with the answer. One that is called an answer goes before one that may but sort the rows."""
    left = {c: n for c, n in columns.items() if c != but}
    found = answer_column(left)
    if found is not None and plainly(found) in SORTS:
        named = {c: n for c, n in left.items() if "answer" in plainly(c) or plainly(c) == "groundtruth"}
        return answer_column(named) or found
    return found


def named(rows: Rows, columns: Iterable[str]) -> str:
    """The columns, and of those that are nested what they hold."""
    listed = list(columns)
    said = []
    for c in listed[:MOST_NAMED]:
        value = next((row[c] for row in rows if row.get(c) is not None), None)
        if isinstance(value, Mapping):
            inside = ", ".join(cut(str(k), 24) for k in list(value)[:6])
            said.append(f"{cut(c)} (a mapping of {inside}{', ...' if len(value) > 6 else ''})")
        elif isinstance(value, (list, tuple)):
            said.append(f"{cut(c)} (a list)")
        else:
            said.append(cut(c))
    return ", ".join(said) + (f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else "")


def varies(rows: Rows, column: str) -> bool:
    """Whether a column has texts that are not all alike."""
    said = {row.get(column) for row in rows if isinstance(row.get(column), str)}
    return len(said) > 1 or len(rows) == 1 == len(said)
