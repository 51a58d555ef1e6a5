"""One answer preferred to another of the same task, and why they are a pair."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from instar.records.experience import Experience
from instar.records.feedback import Mark
from instar.records.record import Record
from instar.records.solution import Polarity

GOLD = "gold"
"""The flag of an answer that nobody sampled: the task brought it."""
_KNOWN = ("verifier", "execution", "environment")


class Why(StrEnum):
    """Why two answers are a pair."""

    contrastive = "contrastive"
    """The policy's own: one was found right, the other wrong."""
    perturbative = "perturbative"
    """Made to differ: one was meant right, the other was meant wrong when it was made."""
    gold = "gold"
    """The task's own answer beside the policy's (SPIN)."""
    order = "order"
    """A judge scored one above the other."""


class Preference(Record):
    """That an answer is preferred to another, why, and in words. ``chosen`` and ``rejected`` are solutions' ids."""

    kind: ClassVar[str] = "preference"

    task: str
    chosen: str
    rejected: str
    why: Why
    reason: str


class Pair(BaseModel):
    """A preference with its two answers: what an update of preferences sees. Not stored itself; its parts are.

    The rejected answer is a negative from here on: in a pair its polarity is *wrong*, whatever it was meant to be, and
    what is meant wrong becomes no row that is trained toward. Raises ValueError for two answers that are no pair.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preference: Preference
    chosen: Experience
    rejected: Experience

    @model_validator(mode="before")
    @classmethod
    def _negative(cls, given: dict[str, object]) -> dict[str, object]:
        rejected = given.get("rejected")
        if isinstance(rejected, Experience) and rejected.solution.polarity is not Polarity.wrong:
            solution = rejected.solution.model_copy(update={"polarity": Polarity.wrong})
            given = {**given, "rejected": rejected.model_copy(update={"solution": solution})}
        return given

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        said, ids = self.preference, (self.chosen.id, self.rejected.id)
        if (said.chosen, said.rejected) != ids:
            raise ValueError(f"the preference is of {said.chosen} over {said.rejected}, not of these two answers")
        if no := no_pair(self.chosen, self.rejected):
            raise ValueError(no)
        return self


def no_pair(chosen: Experience, rejected: Experience) -> str | None:
    """Why the one answer cannot be preferred to the other, in words; None where it can."""
    if chosen.task.id != rejected.task.id:
        return "no pair: they answer two tasks"
    if chosen.solution.text.strip() == rejected.solution.text.strip():
        return "no pair: two equal answers"
    if known_right(rejected):
        return "no pair: both are right" if known_right(chosen) else "no pair: it is the rejected one that is right"
    if chosen.solution.polarity is Polarity.wrong:
        return "no pair: the chosen one was meant wrong"
    return None


def known_right(item: Experience) -> bool:
    """Whether something other than a model's word says that an answer is right."""
    said = item.feedback
    return said is not None and said.mark is Mark.right and said.source in _KNOWN
