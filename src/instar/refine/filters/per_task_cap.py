"""Keep at most so many solutions a task, so that easy tasks do not flood the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class PerTaskCap(Filter):
    """Keeps ``at_most`` solutions of each task: the first ones, or the shortest in characters (ties: the earlier).

    10 is ReST-EM's cut-off (arXiv 2312.06585).
    """

    name: ClassVar[str] = "per_task_cap"

    at_most: int = Field(default=10, ge=1)
    prefer: Literal["first", "shortest"] = "first"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        places: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(item.task.id or item.task.digest, []).append(place)
        kept: set[int] = set()
        for group in places.values():
            if self.prefer == "shortest":
                group = sorted(group, key=lambda place: (len(items[place].solution.text), place))
            kept.update(group[: self.at_most])
        among = f"the {self.at_most} {'shortest' if self.prefer == 'shortest' else 'first'} of its task"
        return [
            Decision(item=item.id, kept=place in kept, reason=f"{'among' if place in kept else 'not among'} {among}")
            for place, item in enumerate(items)
        ]
