"""The scripted model reads passages: it fills a gap with what stands there, and cites, now and then the wrong text."""

from __future__ import annotations

import re

_PASSAGE = re.compile(r"(?:\[(\d{1,3})\]\n)?<<<passage (\w+)>>>\n(.*?)\n<<<end passage \2>>>", re.DOTALL)
_GAP = re.compile(r"Fill the gap(?: \(from: [^\n]*?\))?: ([^\n]*?)____([^\n]*)")
CITES = 0.7
"""How often it cites the text that it read."""


def from_passage(prompt: str, drawn: float) -> str | None:
    """What it says of the passages before a question: the words in the gap, or the last sentence of the last passage
    where it is asked otherwise. None where there is no passage. ``drawn``: a number from 0 to 1."""
    found = list(_PASSAGE.finditer(prompt))
    if not found:
        return None
    question = prompt[found[-1].end() :]
    gap = _GAP.search(question)
    for place, m in enumerate(found):
        said = gap and re.search(f"{re.escape(gap[1].strip())}\\s*(.+?)\\s*{re.escape(gap[2].strip())}", m[3])
        if said:
            return f"Answer: {said[1]}{_cited(place, len(found), m[1], drawn)}"
    last = re.split(r"(?<=[.!?])\s+", found[-1][3].strip())[-1]
    return f"{last}{_cited(len(found) - 1, len(found), found[-1][1], drawn)}"


def _cited(place: int, n: int, number: str | None, drawn: float) -> str:
    if number is None:
        return ""
    return f" [{number if drawn < CITES or n == 1 else (place + 1) % n + 1}]"
