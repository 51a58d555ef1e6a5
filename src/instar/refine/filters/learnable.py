"""Tasks that can be learned from: some answers are right, and some are not.

Zhao et al., *Absolute Zero*, arXiv 2505.03335, equation 4: of a proposed task the reward is 1 - m where the mean m of
its answers is above 0, and 0 where it is not. Departure: m = 1 has no reward by that formula; it is outside the band.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience, Mark


class Learnable(Filter):
    """Keeps all answers of a task whose share of right ones is above ``low`` and below ``high``: R-Zero's band is 0.3
    to 0.8 (arXiv 2508.05004), Absolute Zero's all that is not 0. Answers that were not scored count for neither."""

    name: ClassVar[str] = "learnable"

    low: float = Field(default=0.0, ge=0, le=1)
    high: float = Field(default=1.0, gt=0, le=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        right, n = _count(items)
        share = right / n if n else 0.0
        kept = n > 0 and self.low < share < self.high
        where = "inside" if kept else "outside"
        reason = f"{right} of {n} answers are right: {where} the band {self.low:g} to {self.high:g}"
        return [Decision(item=e.id, kept=kept, reason=reason) for e in items]


def rewards(items: Iterable[Experience]) -> dict[str, float]:
    """By task the reward of whoever proposed it (equation 4): 1 less the share of right answers where that is above 0,
    else 0. In the order of the tasks; one without a scored answer has none."""
    groups: dict[str, list[Experience]] = {}
    for e in items:
        groups.setdefault(e.task.id, []).append(e)
    found = {}
    for task, own in groups.items():
        right, n = _count(own)
        if n:
            found[task] = 1 - right / n if right else 0.0
    return found


def _count(items: Sequence[Experience]) -> tuple[int, int]:
    marks = [e.feedback.mark for e in items if e.feedback is not None]
    return marks.count(Mark.right), marks.count(Mark.right) + marks.count(Mark.wrong)
