"""A filter that keeps answers with an even number of characters: useless, short, and easy to recognise in a ledger."""

from __future__ import annotations

from collections.abc import Sequence

from instar.protocols import Filter
from instar.records import Decision, Experience


class EvenLength(Filter):
    """Keeps a solution if its text has an even number of characters and at least ``least`` of them."""

    name = "even_length"
    least: int = 0

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(e) for e in items]

    def _decide(self, e: Experience) -> Decision:
        n = len(e.solution.text)
        if n % 2:
            return Decision(item=e.id, kept=False, reason=f"odd length: {n} characters")
        if n < self.least:
            return Decision(item=e.id, kept=False, reason=f"too short: {n} characters, at least {self.least}")
        return Decision(item=e.id, kept=True, reason=f"even length: {n} characters")
