"""An objective that the user set and no report: one ability, and how many tasks of it are to be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Choose
from instar.records import Objective, Report


class Asked(Choose):
    """The whole budget of a round for ``ability``, whatever the reports say."""

    name: ClassVar[str] = "asked"

    ability: str = "acting"

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        return [Objective(ability=self.ability, tasks=budget, expires=round, reason=f"{budget} tasks are asked for")]
