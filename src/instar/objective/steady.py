"""So many tasks of one ability a round, whatever was measured: for a run that has no data to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Choose
from instar.records import Objective, Report


class Steady(Choose):
    """One objective with the whole budget, for this round."""

    name: ClassVar[str] = "steady"

    called: str = "proposed"

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        return [Objective(ability=self.called, tasks=budget, expires=round, reason="the same in every round")]
