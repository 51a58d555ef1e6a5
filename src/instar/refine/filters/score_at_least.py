"""Keep what was scored well enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class ScoreAtLeast(Filter):
    """Keeps a score of at least ``minimum``; the default, full credit, is ReST-EM's 0/1 reward (arXiv 2312.06585).

    Unscored is not zero: what has no score is dropped with its own reason, whatever ``minimum`` is.
    """

    name: ClassVar[str] = "score_at_least"

    minimum: float = Field(default=1.0, allow_inf_nan=False)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        feedback = item.feedback
        if feedback is None:
            return Decision(item=item.id, kept=False, reason="unscored: it was never judged")
        if feedback.score is None:
            why = feedback.comment or "no reason given"
            return Decision(item=item.id, kept=False, reason=f"unscored: {feedback.mark.value}: {why}")
        kept = feedback.score >= self.minimum
        sign = "at least" if kept else "below"
        return Decision(item=item.id, kept=kept, reason=f"score {feedback.score:g} is {sign} {self.minimum:g}")
