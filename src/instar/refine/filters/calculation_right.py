"""Drop answers that calculate wrongly on the way, even if their last line is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience
from instar.refine.equations import equations


class CalculationRight(Filter):
    """Keeps a solution if every calculation it writes down ("3 + 4 = 7") holds within ``tolerance``.

    As RFT does with GSM8K's calculator annotations (arXiv 2308.01825; 1e-3 is theirs). Departure: calculations are read
    from plain text. An answer that shows none is kept: there is nothing to hold against it.
    """

    name: ClassVar[str] = "calculation_right"

    tolerance: float = Field(default=1e-3, ge=0, allow_inf_nan=False)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [self._decide(item) for item in items]

    def _decide(self, item: Experience) -> Decision:
        found = equations(item.solution.text)
        wrong = next((e for e in found if not e.holds(self.tolerance)), None)
        if wrong is not None:
            return Decision(item=item.id, kept=False, reason=f"a calculation is wrong: {wrong!s:.80}")
        reason = f"all {len(found)} calculations hold" if found else "it shows no calculation"
        return Decision(item=item.id, kept=True, reason=reason)
