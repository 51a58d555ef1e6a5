"""A part of a row by its name: a column, or with dots what stands inside a nested one; and nested text as one text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ALL = ".*"
"""What a name ends with that means all the text a nested column holds."""
_TITLES = ("title", "titles", "name", "heading")
_TEXTS = ("sentences", "text", "texts", "contexts", "paragraph_text", "paragraph", "paragraphs", "passage", "passages",
          "passage_text", "content", "contents", "snippet", "snippets", "context", "evidence")  # fmt: skip


def holds(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has this column or this part of one."""
    return _found(row, name) is not None


def part(row: Mapping[str, Any], name: str) -> Any:
    """What a row has under a name; None where it has nothing. A column whose own name has dots goes first."""
    found = _found(row, name)
    return None if found is None else found[1]


def root(row: Mapping[str, Any], name: str) -> str:
    """The column that a name leads into."""
    found = _found(row, name.removesuffix(ALL) if name not in row else name)
    return name if found is None else found[0]


def _found(row: Mapping[str, Any], name: str) -> tuple[str, Any] | None:
    if name in row:
        return name, row[name]
    at = name.find(".")
    while at > 0:
        inside = row.get(name[:at])
        if isinstance(inside, Mapping) and (found := _found(inside, name[at + 1 :])) is not None:
            return name[:at], found[1]
        at = name.find(".", at + 1)
    return None


def leaves(row: Mapping[str, Any]) -> Iterator[str]:
    """The names of all that is a text or a number in a row: its columns, and one level inside its nested ones."""
    for column, value in row.items():
        if _plain(value):
            yield column
        elif isinstance(value, Mapping):
            yield from (f"{column}.{k}" for k, v in value.items() if _plain(v))


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def whole(value: Any) -> str:
    """All the text of a nested value: titles with what stands under them, a line each. "" if it is not told how."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping):
        return _mapping(value)
    if not isinstance(value, (list, tuple)):
        return ""
    if _is_table(value):
        return "\n".join(map(_cells, value))
    if _is_titled(value):  # HotpotQA's own file: [["Title", ["A sentence.", ...]], ...]
        return "\n".join(_line(title, text) for title, text in value)
    lines = [whole(v) for v in value]
    return "\n".join(lines) if all(lines) else ""


def _mapping(value: Mapping[str, Any]) -> str:
    head, rows = value.get("header"), value.get("rows")
    if isinstance(head, (list, tuple)) and isinstance(rows, (list, tuple)) and _is_table(table := [head, *rows]):
        return "\n".join(map(_cells, table))  # WikiTableQuestions'
    title = next((value[k] for k in _TITLES if k in value), None)
    text = next((value[k] for k in _TEXTS if k in value), None)
    if text is None:
        return ""
    if isinstance(title, (list, tuple)) and isinstance(text, (list, tuple)) and len(title) == len(text):
        return "\n".join(_line(t, x) for t, x in zip(title, text, strict=True))
    return _line(title, text) if isinstance(title, str) else whole(text)


def _is_titled(value: Sequence[Any]) -> bool:
    return bool(value) and all(
        isinstance(v, (list, tuple)) and len(v) == 2 and isinstance(v[0], str) and isinstance(v[1], (list, tuple))
        for v in value
    )


def _is_table(value: Sequence[Any]) -> bool:
    """Whether this is rows of as many cells each, two or more."""
    rows = [v for v in value if isinstance(v, (list, tuple))]
    plain = all(cell is None or isinstance(cell, (str, int, float)) for row in rows for cell in row)
    return len(rows) == len(value) > 1 and plain and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1


def _cells(row: Sequence[Any]) -> str:
    return " | ".join("" if cell is None else str(cell) for cell in row)


def _line(title: Any, text: Any) -> str:
    """A title and its sentences, which are one paragraph."""
    listed = isinstance(text, (list, tuple)) and all(isinstance(t, str) for t in text)
    said = " ".join(t.strip() for t in text) if listed else whole(text)
    return f"{title}: {said}" if str(title).strip() else said
