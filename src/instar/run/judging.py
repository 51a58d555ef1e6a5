"""The verb that has solutions judged: each gets feedback, from one call for all solutions of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from instar.errors import StepFailed
from instar.protocols import Judge, Models
from instar.records import Experience, Feedback, Mark, hash_of
from instar.run.auditing import measure_judge, with_judge
from instar.run.generate import Handles
from instar.run.keys import EXAM_ROUND
from instar.run.mapping import Item, Step, by_task
from instar.run.measuring import believed
from instar.run.outputs import Output, only
from instar.run.steps import Steps
from instar.store.unread import MANY, uncollected


async def judge(steps: Steps, step: Step, attempts: Sequence[Experience], models: Handles) -> list[Experience]:
    """The same experiences with feedback by the operator of ``step``, which is measured first."""
    op = cast(Judge, step.op)
    models = with_judge(steps, op, models, step.round)
    await measure_judge(steps, op, attempts, models, step.round)
    groups = by_task(attempts)

    def item(group: Sequence[Experience]) -> Item:
        task, solutions = group[0].task, [e.solution for e in group]

        async def work(bound: Models) -> list[Output]:
            said = list(await op(task, solutions, bound))
            if [f.solution for f in said] != [s.id for s in solutions]:
                raise StepFailed(f"{op.name} did not give one feedback for each solution, in order.")
            return [Output(f, (task.id, f.solution, *believed(op, models))) for f in said]

        return Item(hash_of("group", [s.id for s in solutions]), work)

    items = {task: item(group) for task, group in groups.items()}
    with steps.watch.phase("check" if step.round != EXAM_ROUND else "exam"):
        results = await step.map(list(items.values()), models)
    feedback: dict[str, Feedback] = {}
    for task, i in items.items():  # one feedback for each solution, in order: see ``item``
        said = only(Feedback, results.get(i.id, []))
        feedback |= {e.id: f for e, f in zip(groups[task], said, strict=bool(said))}
    refuse_all_invalid(list(feedback.values()))
    with uncollected(for_good=len(attempts) > MANY):
        return [
            Experience(task=e.task, solution=e.solution, feedback=feedback[e.id]) for e in attempts if e.id in feedback
        ]


def refuse_all_invalid(feedback: Sequence[Feedback]) -> None:
    """Raises StepFailed when there is feedback and none of it is a score: it is not the answers that are wrong."""
    if feedback and all(f.mark is Mark.invalid for f in feedback):
        raise StepFailed(
            f"the checker failed on every one of {len(feedback)} answers; the first time: {feedback[0].comment}",
            "A failed check is not a wrong answer. Mend the checker and resume with --accept-changes: what gave no "
            "score is checked again.",
        )
