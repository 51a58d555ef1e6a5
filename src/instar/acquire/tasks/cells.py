"""What a column is called and what a cell holds, as far as every layout needs it."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from typing import Any

from instar.legible import unwarned


class NotSo(ValueError):
    """A row is not of the layout; the message says what it has instead."""


def plainly(name: str) -> str:
    """A column's name as it is compared: no case, accents, spaces or separators."""
    flat = unicodedata.normalize("NFKD", str(name)).casefold()
    return re.sub(r"[\s_\-./]+", "", "".join(c for c in flat if not unicodedata.combining(c)))


LONGEST = 100_000
"""Characters of a cell from which it is a text, whatever it looks like."""
_PIECE = re.compile(
    r"""(?P<text>(?:'(?:[^'\\]|\\.?)*+(?:'|\Z)|"(?:[^"\\]|\\.?)*+(?:"|\Z)))(?P<before>(?=\s+['"]))?"""
    r"""|(?P<comma>,)|\barray\((?=\[)|(?P<end>\]\s*+(?:,\s*+dtype=(?:'[^'\n]{0,40}'|[\w.<>|]{1,40}+)\s*+)?\))""",
    re.DOTALL,
)


def _with_commas(text: str) -> str:
    """Python's form of a list, for what numpy writes in a cell: "['a' 'b']", which Python reads as one text "ab", and
    "array(['a', 'b'], dtype=object)". What stands inside a text stays, and texts that follow each other in a list with
    commas are one, as in a program."""
    arrays, commas = 0, False

    def mended(piece: re.Match[str]) -> str:
        nonlocal arrays, commas
        if piece["text"]:
            return piece["text"] + ("\0" if piece["before"] is not None else "")
        if piece["comma"]:
            commas = True
            return ","
        if not piece["end"]:
            arrays += 1
            return ""
        if not arrays:
            return piece.group()
        arrays -= 1
        return "]"

    if "\0" in text:
        return text
    said = _PIECE.sub(mended, text)
    return said.replace("\0", "" if commas else ",")


def parsed(value: Any) -> Any:
    """What a text that holds JSON holds (a cell of a CSV file); any other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{", "array([")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
        if len(value) >= LONGEST or not re.search(r"['\"]", value):
            return value
        try:
            with unwarned():
                # what pandas writes into a cell: Python's own form
                said = ast.literal_eval(_with_commas(value.strip()))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
        return said if isinstance(said, (list, dict)) else value
    return value
