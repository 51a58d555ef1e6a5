"""The scripted model reads a note: what it ends with is the answer, whether it is the right one or not."""

from __future__ import annotations

import re

_NOTE = re.compile(r"<<<note (\w+)>>>\n(.*?)\n<<<end note \1>>>", re.DOTALL)


def from_note(prompt: str) -> str | None:
    """The last word of the last note that stands before a question; None where there is no note."""
    found = _NOTE.findall(prompt)
    if not found:
        return None
    words = [w for w in found[-1][1].splitlines()[-1].rstrip(".!").split() if w != "now"]
    return f"Answer: {words[-1]}" if words else None
