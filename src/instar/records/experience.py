"""A task with a solution of it and what was said of that: what a policy learns from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

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
