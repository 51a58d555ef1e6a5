"""Answers that say something: no apology, no bare stop words. Evol-Instruct's elimination by the answer.

Xu et al., *WizardLM*, arXiv 2304.12244, section 3.2: a rewritten instruction has failed where the reply has "sorry" and
is short (under 80 words), or is of punctuation and stop words alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience

_STOP_WORDS = (
    "a an and are as at be but by for from has he i if in is it its of on or she so that the this to was we were you"
)
_STOP = frozenset(_STOP_WORDS.split())


class Answered(Filter):
    """Drops an answer with "sorry" in under ``short`` words, and one without a word that says something."""

    name: ClassVar[str] = "answered"

    short: int = Field(default=80, ge=0)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [Decision(item=e.id, kept=not (why := self._why(e.solution.text)), reason=why or "it says something")
                for e in items]  # fmt: skip

    def _why(self, text: str) -> str:
        words = re.findall(r"[^\W_]+", text.lower())
        if "sorry" in words and len(words) < self.short:
            return f"it says sorry in fewer than {self.short} words"
        return "" if any(w not in _STOP for w in words) else "it has stop words and punctuation alone"
