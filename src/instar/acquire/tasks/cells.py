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


def parsed(value: Any) -> Any:
    """What a text that holds JSON holds (a cell of a CSV file); any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
        try:
            with unwarned():
                said = ast.literal_eval(value.strip())  # what pandas writes into a cell: Python's own form
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
        plain_data = isinstance(said, (list, dict)) and len(value) < 100_000
        return said if plain_data and re.search(r"['\"]", value) else value
    return value
