"""Something to solve, and what only those who check it may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from instar.dialogue import Message, Role
from instar.records.record import Record


class Task(Record):
    """Something to solve. ``private`` (gold answer, hidden tests) is for checkers, never rendered into a prompt."""

    kind: ClassVar[str] = "task"

    messages: tuple[Message, ...]
    ability: str
    canonical: str
    source: str
    private: Mapping[str, Any] = Field(default_factory=dict)
    difficulty: float | None = None
    objective: str | None = None

    @property
    def question(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.user), "")
