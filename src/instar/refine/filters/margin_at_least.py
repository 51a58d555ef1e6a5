"""Keep the paths that reached a clear majority."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class MarginAtLeast(Filter):
    """Keeps *all* paths to the majority answer of a vote whose margin and share are at least these.

    LMSI (arXiv 2210.11610) keeps all paths of every majority: that is the default, a minimum of 0 for both (a tie has
    no majority, so nothing of it is kept). What was not judged by a vote, or by one that did not decide, is dropped as
    unscored.
    """

    name: ClassVar[str] = "margin_at_least"

    minimum: float = Field(default=0.0, ge=0.0, le=1.0)
    share: float = Field(default=0.0, ge=0.0, le=1.0)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        feedback = item.feedback
        if feedback is None or feedback.source != "vote":
            return Decision(item=item.id, kept=False, reason="unscored: no vote was held on it")
        if feedback.score is None:
            return Decision(item=item.id, kept=False, reason=f"unscored: {feedback.comment or 'the vote was open'}")
        if feedback.score < 1.0:
            return Decision(item=item.id, kept=False, reason=feedback.comment or "against the majority")
        margin, share = feedback.evidence["margin"], feedback.evidence["share"]
        if margin < self.minimum:
            reason = f"margin {margin:.3g} is below {self.minimum:g}"
        elif share < self.share:
            reason = f"share {share:.3g} is below {self.share:g}"
        else:
            return Decision(item=item.id, kept=True, reason=f"majority with margin {margin:.3g} and share {share:.3g}")
        return Decision(item=item.id, kept=False, reason=reason)
