"""A gate's word on a candidate, with every test it made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from instar.records.record import Record


class Check(BaseModel):
    """One test of a gate, with its numbers. ``passed`` None would be missing evidence, which never passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool
    numbers: Mapping[str, float | None] = Field(default_factory=dict)
    reason: str


class Verdict(Record):
    """A gate's decision on a candidate against the incumbent, with every test's numbers."""

    kind: ClassVar[str] = "verdict"

    incumbent: str
    candidate: str
    incumbent_report: str
    candidate_report: str
    promoted: bool
    checks: tuple[Check, ...]
    reason: str
