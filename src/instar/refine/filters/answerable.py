"""Keep what was read: answers that are right with the passage, of tasks that nobody answers without it.

SPICE (arXiv 2510.24684) hides the document from the solver; a question that is answered all the same is answered from
what the model knew, or from its own wording, and teaches nothing of the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience, Mark, Strategy


class Answerable(Filter):
    """Of each task's answers, those that were given with the passage in sight (strategy grounded) and are right, where
    at least ``with_passage`` of all such are right, and of the others, given without it, at most ``without``.

    Both are shares. A task of which nobody tried to answer it without the passage is dropped: it was not measured.
    """

    name: ClassVar[str] = "answerable"

    with_passage: float = Field(default=0.5, gt=0, le=1)
    without: float = Field(default=0.0, ge=0, lt=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        read = [e for e in items if e.solution.strategy is Strategy.grounded]
        blind = [e for e in items if e.solution.strategy is not Strategy.grounded]
        why_not = self._why_not(read, blind)
        return [self._decided(e, why_not) for e in items]

    def _why_not(self, read: Sequence[Experience], blind: Sequence[Experience]) -> str | None:
        if not read:
            return "nobody answered it with the passage"
        if not blind:
            return "nobody tried to answer it without the passage"
        if any(e.feedback is None or e.feedback.score is None for e in (*read, *blind)):
            return "unscored: an answer was not judged"
        found, guessed = _right(read), _right(blind)
        if found < self.with_passage:
            return f"not answerable: {found:.0%} right with the passage, {self.with_passage:.0%} wanted"
        if guessed > self.without:
            return f"known without the passage: {guessed:.0%} right, at most {self.without:.0%} wanted"
        return None

    def _decided(self, e: Experience, why_not: str | None) -> Decision:
        if why_not is not None:
            return Decision(item=e.id, kept=False, reason=why_not)
        if e.solution.strategy is not Strategy.grounded:
            return Decision(item=e.id, kept=False, reason="answered without the passage: only measured")
        right = e.feedback is not None and e.feedback.mark is Mark.right
        return Decision(item=e.id, kept=right, reason="right with the passage" if right else "wrong with the passage")


def _right(of: Sequence[Experience]) -> float:
    return sum(e.feedback is not None and e.feedback.mark is Mark.right for e in of) / len(of)
