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


_ARRAY = re.compile(r"\barray\((\[.*?\])\s*(?:,\s*dtype=[^()\[\]]*)?\)", re.DOTALL)
_TEXT_BEFORE_TEXT = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=\s+['"])""", re.DOTALL)


def _with_commas(text: str) -> str:
    """Python's form of a list, for what numpy writes in a cell: "['a' 'b']", which Python reads as one text "ab", and
    "array(['a', 'b'], dtype=object)"."""
    return _TEXT_BEFORE_TEXT.sub(r"\1,", _ARRAY.sub(r"\1", text))


def parsed(value: Any) -> Any:
    """What a text that holds JSON holds (a cell of a CSV file); any other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{", "array([")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
        try:
            with unwarned():
                said = ast.literal_eval(
                    _with_commas(value.strip())
                )  # what pandas writes into a cell: Python's own form
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
        plain_data = isinstance(said, (list, dict)) and len(value) < 100_000
        return said if plain_data and re.search(r"['\"]", value) else value
    return value
