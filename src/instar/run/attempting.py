"""The verb for operators that judge while they solve; what they make is stored solutions first, then feedback.

An operator cannot know the ids of its solutions: the run mints them. So the feedback it returns names a placeholder,
and is pointed at the real id here, before either is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from instar.errors import StepFailed
from instar.protocols import Attempt, Judge, Models
from instar.records import Experience, Feedback, Record, Solution, Task
from instar.run.auditing import measure_judge, with_judge
from instar.run.generate import Handles
from instar.run.judging import refuse_all_invalid
from instar.run.mapping import Item
from instar.run.outputs import Output, mint_all
from instar.run.solving import refuse_all_empty
from instar.run.steps import Steps


async def attempt(steps: Steps, op: Attempt, tasks: Sequence[Task], models: Handles, *, title: str) -> list[Experience]:
    """Every task's solutions with their feedback, in task order. Where the operator has a judge, that is measured."""
    step = steps.step("attempt", op, title)

    def item(task: Task) -> Item:
        async def work(bound: Models) -> list[Output]:
            inputs = (task.id, *(h.policy.id for h in models.values()))
            return outputs_of(op, task, await op(task, bound), inputs, step.round)

        return Item(task.id, work)

    judge = getattr(op, "judge", None)
    if isinstance(judge, Judge):
        models = with_judge(steps, judge, models, steps.round)
    with steps.engaged("generate", step):
        results = await step.map([item(task) for task in tasks], models)
    made = [e for task in tasks for e in experiences_of(task, results.get(task.id, []))]
    if isinstance(judge, Judge):
        await measure_judge(steps, judge, made, models, steps.round)
    refuse_all_empty(made)
    refuse_all_invalid([e.feedback for e in made if e.feedback])
    return made


def outputs_of(
    op: Attempt, task: Task, attempts: Sequence[Experience], inputs: tuple[str, ...], round: int
) -> list[Output]:
    """The outputs of one call. Raises StepFailed for an experience of another task or another's feedback."""
    for e in attempts:
        if e.task.id != task.id or e.solution.task != task.id:
            raise StepFailed(f"{op.name} was given the task {task.id} and answered another: {e.solution.task}.")
        if e.feedback is not None and e.feedback.solution != e.solution.id:
            raise StepFailed(f"{op.name} gave the solution {e.solution.id!r} feedback on {e.feedback.solution!r}.")
    solutions = [Output(e.solution, inputs) for e in attempts]
    # an id hangs on the place among all outputs of the call: solutions come first, so theirs is known already
    ids = [made.record.id for made in mint_all(solutions, op.op_id, round)]
    said = [
        Output(e.feedback.model_copy(update={"solution": id}), (task.id, id))
        for e, id in zip(attempts, ids, strict=True)
        if e.feedback is not None
    ]
    return [*solutions, *said]


def experiences_of(task: Task, records: Sequence[Record]) -> list[Experience]:
    """The experiences of one call, from its records as they were stored."""
    said = {r.solution: r for r in records if isinstance(r, Feedback)}
    return [Experience(task=task, solution=r, feedback=said.get(r.id)) for r in records if isinstance(r, Solution)]
