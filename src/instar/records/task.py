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
    when: float | None = None
    """The day it is of, in the time of whoever made it (0 is that time's beginning); never read off a clock."""
    who: str | None = None
    """Whose it is: the person who says or asks it."""

    def content(self) -> dict[str, Any]:
        """As every record's; a day and a person that are not known leave no trace, as in tasks stored before them."""
        content = super().content()
        return {k: v for k, v in content.items() if v is not None or k not in ("when", "who")}

    @property
    def question(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.user), "")
