"""An answer of known worth, planted among the real ones."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from instar.records.record import Record
from instar.records.solution import Solution


class Worth(StrEnum):
    """What a planted answer is known to be; ``wrong_reason`` is a right answer reached by a false step, or a
    program that knows the results of the visible tests by heart."""

    good = "good"
    bad = "bad"
    wrong_reason = "wrong_reason"


class Plant(Record):
    """An answer of known worth, to measure judges and filters with. They see ``shown`` alone, and it looks like any."""

    kind: ClassVar[str] = "plant"

    worth: Worth
    solution: Solution

    @property
    def shown(self) -> Solution:
        return self.solution.model_copy(update={"id": self.id})
