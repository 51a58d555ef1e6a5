"""The verb that has tasks solved: every task's solutions, not yet judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from instar.errors import StepFailed
from instar.protocols import Models, Solve
from instar.records import Experience, Solution, Task
from instar.run.generate import Handles
from instar.run.mapping import Item, Step
from instar.run.outputs import Output, only
from instar.run.steps import Steps
from instar.store.unread import MANY, uncollected


async def solve(steps: Steps, step: Step, tasks: Sequence[Task], models: Handles) -> list[Experience]:
    """Every task's solutions by the operator of ``step``, in task order."""
    op = cast(Solve, step.op)

    def item(task: Task) -> Item:
        async def work(bound: Models) -> list[Output]:
            inputs = (task.id, *(h.policy.id for h in models.values()))
            return [Output(s, inputs) for s in await op(task, bound)]

        return Item(task.id, work)

    with steps.engaged("generate" if step.verb == "solve" else "exam", step):
        results = await step.map([item(task) for task in tasks], models)
    with uncollected(for_good=len(tasks) > MANY // 10):
        made = [Experience(task=task, solution=s) for task in tasks for s in only(Solution, results.get(task.id, []))]
    if step.verb != "exam" or all(h.policy.id == steps.base.id for h in models.values()):
        refuse_all_empty(made)  # but a candidate that answers nothing is for the gate to refuse
    return made


def refuse_all_empty(made: Sequence[Experience]) -> None:
    """Raises StepFailed when there are answers and none of them says anything: it is not the tasks that are hard."""
    if made and all(not e.solution.text.strip() for e in made):
        error = StepFailed(
            f"the model returned nothing: all {len(made)} answers of this step are empty.",
            "Check the model's weights, its chat template and its stop tokens; then start a new run: this one keeps "
            "what it was answered.",
        )
        error.resumes = False
        raise error
