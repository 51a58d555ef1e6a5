"""What a run ended with: which policies it compares, and by which reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from instar.records.record import Record


class Result(Record):
    """The end of a run, made from its last reports: what stands in the headline follows from them alone.

    Each mapping from a suite names the report on it by id. A run without an exam has no reports.
    """

    kind: ClassVar[str] = "result"

    policies: Mapping[str, str]
    """Role to policy: ``base``, ``final``, and ``control: NAME`` for what was made only to compare with."""
    base: Mapping[str, str] = Field(default_factory=dict)
    final: Mapping[str, str] = Field(default_factory=dict)
    controls: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    procedures: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Ways to answer with the final policy, each with its own suites: itself, and sampling at equal cost."""
    tokens: int = 0
    """Written by all models together, exams and judges too."""
    seconds: float | None = None
    """Of the evolution, without what only compares. As the clock had it: no digest covers it."""

    def content(self) -> dict[str, Any]:
        """Without the seconds: a run that was killed and went on ends with the same result."""
        return {k: v for k, v in super().content().items() if k != "seconds"}
