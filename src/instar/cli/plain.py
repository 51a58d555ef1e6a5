"""Text in a terminal: it may be a model's or anybody's, so nothing in it may move the cursor or colour the screen."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from instar.legible import shown as plain

__all__ = ["aloud", "plain"]


def installable(text: str) -> str:
    """The text with each "pip install 'instar[EXTRA]'" as it works: instar is in no package index, but in a folder."""
    if "pip install" not in text:
        return text
    root = Path(__file__).parents[3]
    where = str(root) if (root / "pyproject.toml").is_file() else "FOLDER_OF_INSTAR"
    return re.sub(r"""(pip install )(['"])instar\[(\w+)\]\2""", lambda m: f"{m.group(1)}'{where}[{m.group(3)}]'", text)


def aloud(text: str, *, error: bool = False) -> None:
    """Print a text, line by line, with every control character written out."""
    print(installable(plain(text, lines=True)), file=sys.stderr if error else sys.stdout)
