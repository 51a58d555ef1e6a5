"""How well a round went beside its score: vital signs and alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from instar.records.record import Record


class Vitals(BaseModel):
    """What a set of sampled answers looks like. None is not known, never zero."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    tasks: int = 0
    score: float | None = None
    parse_rate: float | None = None
    vote_margin: float | None = None
    vote_accuracy: float | None = None
    answer_entropy: float | None = None
    distinct_1: float | None = None
    distinct_2: float | None = None
    vendi: float | None = None
    length_mean: float | None = None
    length_p95: float | None = None


class Alarm(BaseModel):
    """One rule of a round's health: whether it is raised, with its numbers and the reason in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    raised: bool
    numbers: Mapping[str, float | None] = Field(default_factory=dict)
    reason: str


class Health(Record):
    """The health of one round: the training answers of the policy that sampled, its dev scores, and the alarms."""

    kind: ClassVar[str] = "health"

    policy: str
    train: Vitals
    abilities: Mapping[str, Vitals] = Field(default_factory=dict)
    kept: int
    dev_before: float | None = None
    dev_after: float | None = None
    parse_before: float | None = None
    parse_after: float | None = None
    gain_read_twice: float | None = None
    """Gain on dev among the items whose answers could be read both before and after."""
    newly_right: int | None = None
    newly_wrong: int | None = None
    alarms: tuple[Alarm, ...] = ()
