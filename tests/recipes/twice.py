"""An environment of two steps: the sum of the numbers that were said last is even, or it is not."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from instar.protocols import Environment, Moved
from instar.records import Message, Role, Task


class Saying:
    def reset(self, task: Mapping[str, Any]) -> str:
        self.said: list[int] = []
        return "Say a number, twice."

    def step(self, action: str) -> Moved:
        self.said.append(int((re.findall(r"\d+", action[:400]) or ["1"])[-1][:9]))
        if len(self.said) == 1:
            return Moved("SEEN-ONCE. Once more.", False)
        return Moved("That was all.", True, float(sum(self.said) % 2 == 0))


class Twice(Environment):
    name: ClassVar[str] = "twice"

    def episode(self) -> Saying:
        return Saying()

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        return ["1", "2"]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        left = iter(range(2, 10_000))
        return {name: [self.task(next(left)) for _ in range(n)] for name, n in wanted.items()}

    def task(self, n: int) -> Task:
        return Task(
            messages=(Message(role=Role.user, content=f"What is {n} + {n + 1}?"),),
            ability="twice",
            canonical=f"twice:{n}",
            source="twice",
            private={"n": n},
        )
