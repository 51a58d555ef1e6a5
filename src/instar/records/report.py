"""What became of a policy in an exam: every item, and the numbers with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from instar.records.exam import Exam
from instar.records.feedback import Mark
from instar.records.record import Record


class Outcome(BaseModel):
    """What happened on one item of an exam: one entry a sample, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    ability: str
    gold: str | None
    marks: tuple[Mark, ...]
    answers: tuple[str | None, ...]
    tokens: tuple[int, ...]

    @property
    def score(self) -> float:
        """Share of this item's samples that are right."""
        return sum(m is Mark.right for m in self.marks) / len(self.marks)


class Interval(BaseModel):
    """A number with its interval (95 % unless said). ``n`` items stand behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float
    n: int


class Report(Record):
    """A policy on an exam: every item's outcome, and metrics with intervals, in all and per ability."""

    kind: ClassVar[str] = "report"

    policy: str
    exam: Exam
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Interval]
    abilities: Mapping[str, Mapping[str, Interval]] = Field(default_factory=dict)
