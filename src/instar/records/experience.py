"""A task with a solution of it and what was said of that: what a policy learns from."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from instar.dialogue import Learn
from instar.records.feedback import Feedback
from instar.records.solution import Solution
from instar.records.task import Task


class Experience(BaseModel):
    """A task, a solution, its feedback: what refinement and updates see. Not stored itself; its parts are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    solution: Solution
    feedback: Feedback | None = None

    @property
    def id(self) -> str:
        return self.solution.id


class Learned(NamedTuple):
    """One turn of a solution that an update learned from, under which prompt, and whether it was made likelier."""

    solution: str
    turn: int
    how: Learn = Learn.as_asked
    sign: int = 1
    """1 toward it, -1 away from it. What was weighed as nothing was not learned."""
