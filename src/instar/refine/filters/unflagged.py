"""Drop solutions that carry a flag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Filter
from instar.records import Decision, Experience


class Unflagged(Filter):
    """Drops solutions flagged ``flag``. The default drops STaR's rationales that give their hint away."""

    name: ClassVar[str] = "unflagged"

    flag: str = "shows_hint"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        flagged = self.flag in item.solution.flags
        reason = f"flagged {self.flag}" if flagged else f"not flagged {self.flag}"
        return Decision(item=item.id, kept=not flagged, reason=reason)
