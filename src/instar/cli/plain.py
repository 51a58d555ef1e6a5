"""Text in a terminal: it may be a model's or anybody's, so nothing in it may move the cursor or colour the screen."""

from __future__ import annotations

import sys

from instar.legible import shown as plain

__all__ = ["aloud", "plain"]


def aloud(text: str, *, error: bool = False) -> None:
    """Print a text, line by line, with every control character written out."""
    print(plain(text, lines=True), file=sys.stderr if error else sys.stdout)
