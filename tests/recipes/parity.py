"""Two moves, right where the number of their characters is even: luck, but not a clock's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from instar.protocols import Environment, Moved
from instar.records import Message, Role, Task


class Course:
    """One episode."""

    def reset(self, task: Mapping[str, Any]) -> str:
        self.said: list[str] = []
        return "Begin."

    def step(self, action: str) -> Moved:
        self.said.append(action)
        over = len(self.said) == 2
        return Moved(
            "It is over." if over else "Go on.", over, float(len("".join(self.said)) % 2 == 0) if over else None
        )


class Parity(Environment):
    """Two moves."""

    name: ClassVar[str] = "parity"

    def episode(self) -> Course:
        return Course()

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        left = iter(range(300))
        return {name: [self.task(next(left)) for _ in range(n)] for name, n in wanted.items()}

    def task(self, n: int) -> Task:
        asked = (Message(role=Role.user, content=f"What is {n} + 3?"),)
        return Task(messages=asked, ability="parity", canonical=f"parity:{n}", source="parity", private={"n": n})
