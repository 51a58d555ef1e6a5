"""What an attempt made, on its way into the ledger: solutions first, then the feedback that speaks of them.

An operator cannot know the ids of its solutions: the run mints them. So the feedback it returns names a placeholder,
and is pointed at the real id here, before either is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from instar.errors import StepFailed
from instar.protocols import Attempt
from instar.records import Experience, Feedback, Record, Solution, Task
from instar.run.mapping import Output, mint_all


def outputs_of(
    op: Attempt, task: Task, tries: Sequence[Experience], inputs: tuple[str, ...], round: int
) -> list[Output]:
    """The outputs of one call. Raises StepFailed for an experience of another task or another's feedback."""
    for e in tries:
        if e.task.id != task.id or e.solution.task != task.id:
            raise StepFailed(f"{op.name} was given the task {task.id} and answered another: {e.solution.task}.")
        if e.feedback is not None and e.feedback.solution != e.solution.id:
            raise StepFailed(f"{op.name} gave the solution {e.solution.id!r} feedback on {e.feedback.solution!r}.")
    solutions = [Output(e.solution, inputs) for e in tries]
    # an id hangs on the place among all outputs of the call: solutions come first, so theirs is known already
    ids = [made.record.id for made in mint_all(solutions, op.op_id, round)]
    said = [
        Output(e.feedback.model_copy(update={"solution": id}), (task.id, id))
        for e, id in zip(tries, ids, strict=True)
        if e.feedback is not None
    ]
    return [*solutions, *said]


def experiences_of(task: Task, records: Sequence[Record]) -> list[Experience]:
    """The experiences of one call, from its records as they were stored."""
    said = {r.solution: r for r in records if isinstance(r, Feedback)}
    return [Experience(task=task, solution=r, feedback=said.get(r.id)) for r in records if isinstance(r, Solution)]
