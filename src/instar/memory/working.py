"""What is kept in mind while one task is worked on: the last reflections and scratch notes, within a token budget.

Reflexion (Shinn et al., arXiv 2303.11366, section 3): a sliding window of the last reflections, three at most, for the
context is finite. It ends with the attempt; only an update (``remember``) makes any of it notes of a memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from instar.fence import fenced, mark_for


class Entry(NamedTuple):
    """One thing kept in mind: its text, and the tokens that its writer needed for it."""

    text: str
    tokens: int
    about: str = ""
    """The draft that a reflection is about."""


@dataclass(frozen=True)
class Working:
    """A working memory as a value: each change makes a new one. ``last``: reflections it holds; ``budget``: tokens that
    all that is shown of it may come to, the newest first."""

    last: int = 3
    budget: int = 512
    reflections: tuple[Entry, ...] = ()
    scratch: tuple[Entry, ...] = ()

    def reflected(self, text: str, tokens: int, about: str = "") -> Working:
        """With one more reflection; the oldest beyond ``last`` is forgotten."""
        return replace(self, reflections=(*self.reflections, Entry(text, tokens, about))[-self.last :])

    def noted(self, text: str, tokens: int) -> Working:
        """With one more scratch note."""
        return replace(self, scratch=(*self.scratch, Entry(text, tokens)))

    def shown(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Reflections and scratch notes that fit in the budget, each in the order in which they came: the newest
        reflections first, then the newest notes. One that is too long leaves room for an older, shorter one."""
        left = self.budget
        kept: list[tuple[Entry, ...]] = []
        for entries in (self.reflections, self.scratch):
            fits: list[Entry] = []
            for entry in reversed(entries):
                if entry.tokens <= left:
                    left -= entry.tokens
                    fits.insert(0, entry)
            kept.append(tuple(fits))
        return kept[0], kept[1]

    def fenced(self, *beside: str) -> str:
        """What is shown as text between marks that nobody who wrote it, or ``beside``, can know; "" where there is
        nothing."""
        blocks = [(kind, e.text) for kind, own in zip(("reflection", "note"), self.shown(), strict=True) for e in own]
        mark = mark_for(*(text for _, text in blocks), *beside)
        return "\n".join(fenced(kind, text, mark) for kind, text in blocks)
