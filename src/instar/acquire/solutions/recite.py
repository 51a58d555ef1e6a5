"""A passage as the answer to its own task: what training on the bare text learns, to compare others with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.errors import DataError
from instar.protocols import Models, Solve
from instar.records import Finish, Sampling, Solution, Strategy, Task, Turn


class Recite(Solve):
    """One solution a passage: its text, which nobody sampled. Raises DataError for a task that is no passage."""

    name: ClassVar[str] = "recite"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        passage = task.private.get("passage")
        if not isinstance(passage, str) or not passage.strip():
            raise DataError(f"The task {task.id} of {task.source} is no passage.", "Take documents as tasks.")
        return [
            Solution(
                task=task.id, turns=(Turn(text=passage.strip()),), policy=models["self"].policy.id, engine="none",
                precision="exact", sampling=Sampling(), finish=Finish.stop, strategy=Strategy.grounded,
            )
        ]  # fmt: skip
