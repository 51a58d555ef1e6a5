"""The verb that has tasks made in a run: each recorded with what it serves and why it was kept or dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from instar.errors import DataError, StepFailed
from instar.protocols import Create, Created, Models
from instar.records import Decision, Objective, Task, hash_of, mint
from instar.run.generate import Handles
from instar.run.mapping import Item
from instar.run.outputs import Output, only
from instar.run.steps import Steps
from instar.similarity import normalised

HELD_OUT = "it asks the same as a task that is held out for examining"
"""All that is said of such a clash. Which task that is, and in which set, would tell what is examined."""
SEEN = "it asks the same as a task that was seen"
TWICE = "it asks the same as another that was made with it"
EMPTY = "it asks nothing"


async def create(
    steps: Steps, op: Create, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task],
    models: Handles, held_out: Mapping[str, Sequence[Task]],
) -> list[Task]:  # fmt: skip
    """The new tasks that repeat none of ``seen``, of ``held_out``, or each other, in the order they were made. All are
    recorded, each with a decision made from it and from the objective that it serves.

    Raises:
        StepFailed: no objective, or one that lapsed; a task for an objective, or from a source, that was not handed in.
        DataError: a source, or a task that was seen, is held out; or nothing is left of what was made.
    """
    lapsed = [o for o in objectives if o.expires is not None and o.expires < steps.round]
    if not objectives or lapsed:
        what = f"the objective {lapsed[0].ability!r} lapsed after round {lapsed[0].expires}" if lapsed else "none"
        raise StepFailed(f"no live objective to create tasks for in round {steps.round}: {what}.", "Choose anew.")
    _refuse_held_out(op, [*sources, *seen], held_out)
    policies = tuple(h.policy.id for h in models.values())

    async def work(bound: Models) -> list[Output]:
        made = list(await op(objectives, sources, seen, bound))
        _refuse_strangers(op, made, objectives, sources)
        clashes = _Clashes(seen, held_out)
        return [*_tasks(made, policies), *_decisions(steps, op, made, policies, objectives, clashes)]

    item = hash_of("create", [o.id for o in objectives], [t.id for t in sources], [t.id for t in seen])
    step = steps.step("create", op, "making tasks", tolerance=0.0)
    with steps.engaged("generate", step):
        (records,) = (await step.map([Item(item, work)], models)).values()
    kept = {d.item for d in only(Decision, records) if d.kept}
    tasks = [t for t in only(Task, records) if t.id in kept]
    steps.note(f"{op.name}: made {len(only(Task, records))} tasks, kept {len(tasks)}")
    if not tasks:
        reasons = sorted({d.reason for d in only(Decision, records)})
        raise DataError(
            f"{op.name} made no task for the objectives of round {steps.round} that could be kept"
            f"{': ' + '; '.join(reasons) if reasons else ''}.",
            "Give it other sources, or ask for fewer tasks.",
        )
    return tasks


def _refuse_held_out(op: Create, shown: Sequence[Task], held_out: Mapping[str, Sequence[Task]]) -> None:
    """What an operator is shown it can make tasks from, whatever they ask."""
    of = {t.id: name for name, tasks in held_out.items() for t in tasks}
    for task in shown:
        if task.id in of:
            raise DataError(
                f"{op.name} was handed a task of the {of[task.id]} set, which is held out.",
                "Hand it tasks of train, and those that were made in the run.",
            )


def _refuse_strangers(
    op: Create, made: Sequence[Created], objectives: Sequence[Objective], sources: Sequence[Task]
) -> None:
    goals, known = {o.id for o in objectives}, {t.id for t in sources}
    for task, made_from in made:
        if task.objective not in goals:
            raise StepFailed(
                f"{op.name} made a task for the objective {task.objective!r}, which was not handed in.",
                "Give each task the id of the objective that it serves.",
            )
        if strange := [id for id in made_from if id not in known]:
            raise StepFailed(f"{op.name} made a task from {strange[0]!r}, which is no source that was handed in.")


def _tasks(made: Sequence[Created], policies: tuple[str, ...]) -> Iterator[Output]:
    """Made from its sources and whoever wrote it. Not from its objective: that is made from what dev says, and no
    policy may descend from dev."""
    return (Output(task.model_copy(update={"id": ""}), (*made_from, *policies)) for task, made_from in made)


def _decisions(
    steps: Steps, op: Create, made: Sequence[Created], policies: tuple[str, ...], objectives: Sequence[Objective],
    clashes: _Clashes,
) -> Iterator[Output]:  # fmt: skip
    by_id = {o.id: o for o in objectives}
    for place, (task, made_from) in enumerate(made):
        id = mint("task", op.op_id, (*made_from, *policies), steps.round, place)
        why_not = clashes.of(task)
        o = by_id[str(task.objective)]
        reason = why_not or f"made for the objective {o.ability} ({o.direction}, {o.tasks} tasks): {o.reason}"
        yield Output(Decision(item=id, kept=why_not is None, reason=reason), (id, o.id), (id,))


class _Clashes:
    """What new tasks must not repeat. Two tasks are the same when their canonical content is, or their words are:
    whoever makes a task says himself what its content is."""

    def __init__(self, seen: Sequence[Task], held_out: Mapping[str, Sequence[Task]]) -> None:
        self._reasons: dict[str, str] = {}
        for reason, tasks in ((SEEN, seen), (HELD_OUT, [t for own in held_out.values() for t in own])):
            self._reasons.update((key, reason) for t in tasks for key in _keys(t))

    def of(self, task: Task) -> str | None:
        """Why a task cannot be kept. One that can be is from now on among those not to repeat."""
        if not task.question.strip():
            return EMPTY
        keys = _keys(task)
        found = [self._reasons[k] for k in keys if k in self._reasons]
        if not found:
            self._reasons.update((k, TWICE) for k in keys)
        return HELD_OUT if HELD_OUT in found else found[0] if found else None


def _keys(task: Task) -> tuple[str, str]:
    return f"canonical:{task.canonical}", f"words:{normalised(task.question)}"
