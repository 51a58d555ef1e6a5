"""What was said of a solution: by a checker, a judge, a vote. Not known is not wrong."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar.records.record import Record


class Mark(StrEnum):
    """The outcome of checking. ``unscored`` is not zero; ``invalid`` means the checker itself failed."""

    right = "right"
    wrong = "wrong"
    invalid = "invalid"
    unscored = "unscored"


class Feedback(Record):
    """What was said of a solution. ``score`` None means not known. Right means full credit."""

    kind: ClassVar[str] = "feedback"

    solution: str
    score: float | None
    mark: Mark
    source: Literal["verifier", "execution", "judge", "vote", "environment"]
    comment: str = ""
    answer: str | None = None
    evidence: Mapping[str, Any] = Field(default_factory=dict)
