"""What a round is to get better at, or to guard."""

from __future__ import annotations

from typing import ClassVar, Literal

from instar.records.record import Record


class Objective(Record):
    """What to get better at: an ability, a direction, a metric with its target, a budget and an expiry (in rounds)."""

    kind: ClassVar[str] = "objective"

    ability: str
    direction: Literal["improve", "guard"] = "improve"
    metric: str = "mean@1"
    target: float | None = None
    tasks: int = 0
    expires: int | None = None
    parent: str | None = None
    reason: str = ""
