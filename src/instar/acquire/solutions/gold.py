"""The answer that a task brought along, as a solution: what a policy's own answers are set beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from instar.errors import DataError
from instar.protocols import Models, Solve
from instar.records import Finish, Polarity, Sampling, Solution, Strategy, Task, Turn
from instar.records.pair import GOLD


class Gold(Solve):
    """One solution a task that nobody sampled: the private column ``worked`` where the task has one, else ``template``
    with its ``{answer}``. It is flagged "gold", was meant right, and is learned under the plain prompt of its task.

    It asks no model. Raises DataError for a task with neither, before a token is spent.
    """

    name: ClassVar[str] = "gold"

    worked: str = "solution"
    template: str = Field(default="The answer is {answer}.", pattern=r"\{answer\}")

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        return [
            Solution(
                task=task.id, turns=(Turn(text=self.text(task)),), policy=models["self"].policy.id, engine="none",
                precision="exact", sampling=Sampling(), finish=Finish.stop, strategy=Strategy.grounded,
                polarity=Polarity.right, flags=(GOLD,),
            )
        ]  # fmt: skip

    def text(self, task: Task) -> str:
        """The task's answer in words. Raises DataError where it has none."""
        worked = task.private.get(self.worked)
        if isinstance(worked, str) and worked.strip():
            return worked.strip()
        answer = task.private.get("answer")
        if answer is None or not str(answer).strip():
            raise DataError(
                f"The task {task.id} has no answer of its own, neither {self.worked!r} nor 'answer'.",
                "SPIN learns from given answers: take tasks that have them, or a recipe that needs none.",
            )
        return self.template.replace("{answer}", str(answer).strip())

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Each training task has an answer."""
        for task in tasks.get("train", ()):
            self.text(task)
