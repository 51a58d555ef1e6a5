"""Hear what a person says and leave it at that: no model is asked. What is heard is for a memory update to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Models, Solve
from instar.records import Finish, Sampling, Solution, Strategy, Task, Turn


class Listen(Solve):
    """One solution a task that says ``says``, which no model wrote and none is trained on."""

    name: ClassVar[str] = "listen"

    says: str = "I will remember that."

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        return [
            Solution(
                task=task.id, turns=(Turn(text=self.says, train=False),), policy=models["self"].policy.id,
                engine="none", precision="exact", sampling=Sampling(), finish=Finish.stop, strategy=Strategy.grounded,
            )
        ]  # fmt: skip
