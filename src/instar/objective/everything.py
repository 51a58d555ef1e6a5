"""An objective without a dev set: learn all that the sources hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Choose
from instar.records import Objective, Report


class Everything(Choose):
    """One objective, the same each round: to get better at the ability ``of``, with all of the budget."""

    name: ClassVar[str] = "everything"

    of: str = Field(default="closed_book", min_length=1)

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        return [Objective(ability=self.of, tasks=budget, reason="all that the sources hold is to be learned")]
