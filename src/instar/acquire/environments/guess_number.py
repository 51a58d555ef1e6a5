"""A number to be found by asking: each guess is answered with higher or lower. Small, and halving is all there is to
learn."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Environment, Moved
from instar.records import Message, Role, Task

_NUMBER = re.compile(r"-?\d+")


class Guessing:
    """One course: a number, and the guesses left."""

    def reset(self, task: Mapping[str, Any]) -> str:
        self.secret, self.left = int(task["secret"]), int(task["guesses"])
        return f"You have {self.left} guesses."

    def step(self, action: str) -> Moved:
        found = _NUMBER.findall(action[:200])
        self.left -= 1
        if found and (guess := int(found[-1][:20])) == self.secret:
            return Moved("Right.", True, 1.0)
        said = "That is no number." if not found else "Higher." if guess < self.secret else "Lower."
        return Moved(said, True, 0.0) if not self.left else Moved(f"{said} {self.left} left.")


class GuessNumber(Environment):
    """Find a whole number of a range of ``most`` numbers in ``guesses`` guesses; the last number of a reply is the
    guess. A task is a range and a number in it; ranges begin anywhere below 1,000.

    Raises:
        DataError: more tasks are wanted than there are.
    """

    name: ClassVar[str] = "guess_number"

    most: int = Field(default=8, ge=2, le=1_000)
    guesses: int = Field(default=3, ge=1, le=50)

    def episode(self) -> Guessing:
        return Guessing()

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        return [str(n) for n in range(int(task["low"]), int(task["low"]) + self.most)]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        there = 1_000 * self.most
        if sum(wanted.values()) > there // 2:
            raise DataError(
                f"guess_number has {there:,} tasks of {self.most} numbers; {sum(wanted.values()):,} are wanted.",
                "Ask for at most half of them, or set most higher.",
            )
        seen: set[tuple[int, int]] = set()
        drawn: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            luck = random.Random(f"{name}|{seeds.get(name, 0)}")
            drawn[name] = []
            while len(drawn[name]) < wanted[name]:
                low = luck.randrange(1_000)
                of = low, low + luck.randrange(self.most)
                if of not in seen:
                    seen.add(of)
                    drawn[name].append(self._task(*of))
        return {name: drawn[name] for name in wanted}

    def _task(self, low: int, secret: int) -> Task:
        asked = f"I think of a whole number from {low} to {low + self.most - 1}. Guess it. Say one number at a time."
        return Task(
            messages=(Message(role=Role.user, content=asked),),
            ability=f"guess_{self.most}",
            canonical=f"guess_number:{low}:{self.most}:{secret}",
            source="guess_number",
            private={"low": low, "secret": secret, "guesses": self.guesses},
        )
