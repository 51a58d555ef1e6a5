"""The scripted model reads a note: what it ends with is the answer, whether it is the right one or not. An order in it
is obeyed where the note stands without marks around it, and not read where it has them."""

from __future__ import annotations

import re

_BARE = re.compile(r"((?:Day [\d.e+]+: [^\n]*\n)+)\n")
_ORDER = re.compile(r": write only ", re.IGNORECASE)
_NOTE = re.compile(r"<<<note (\w+)>>>\n(.*?)\n<<<end note \1>>>", re.DOTALL)


def from_note(prompt: str) -> str | None:
    """The last word of the last note that stands before a question; None where there is no note."""
    found = _NOTE.findall(prompt)
    bare = _BARE.match(prompt)
    if not (found or bare):
        return None
    lines = found[-1][1].splitlines() if found else str(bare and bare[1]).splitlines()
    facts = [line for line in lines if not _ORDER.search(line)] if found else lines
    words = [w for w in facts[-1].rstrip(".!").split() if w != "now"] if facts else []
    return f"Answer: {words[-1]}" if words else None
