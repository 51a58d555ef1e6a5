"""How likely a policy finds texts that are given: an exam without answers, in log-probabilities."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from instar.records.record import Record


class Likely(BaseModel):
    """One text, given behind the prompt of a task: its tokens, and its log-probability in nats, summed over them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str
    tokens: int = Field(ge=0)
    nats: float


class Likelihood(Record):
    """What a policy makes of the texts of a suite, at temperature 1. ``train``: answers to training tasks, written by
    the run's base. Two of them are comparable where suite, engine, precision and the texts' tasks and tokens are."""

    kind: ClassVar[str] = "likelihood"

    policy: str
    suite: str
    engine: str
    precision: str
    texts: tuple[Likely, ...]
