"""The verb that has tasks made in a run: each recorded with what it serves and why it was kept or dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from instar.errors import DataError, StepFailed
from instar.leaks import Index, content_of
from instar.made import EMPTY as EMPTY
from instar.made import HELD_OUT as HELD_OUT
from instar.made import KEY_AGAIN, SOURCE, Quality, fallen, quality, rights_of
from instar.made import SEEN as SEEN
from instar.made import TWICE as TWICE
from instar.protocols import Create, Created, Models, Refused
from instar.records import Assessment, Decision, Experience, Mark, Objective, Task, hash_of, mint
from instar.run.generate import Handles
from instar.run.mapping import Item
from instar.run.outputs import Output, only
from instar.run.steps import Steps
from instar.similarity import normalised
from instar.store.ledger import Made

APPRAISAL = hash_of("op", {"op": "appraisal", "version": 1})
"""Who appraises a source, as ledgers know him."""


@dataclass(frozen=True)
class Making:
    """What a source made in a round, as the ledger has it."""

    round: int
    decisions: tuple[Decision, ...]
    tasks: tuple[Task, ...]
    """Those that were kept."""
    objectives: tuple[str, ...]


async def create(
    steps: Steps, op: Create, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task],
    models: Handles, held_out: Mapping[str, Sequence[Task]], *, at_least: int = 1,
) -> Making:  # fmt: skip
    """The new tasks that repeat none of ``seen``, of ``held_out``, or each other, in the order they were made. All are
    recorded, each with a decision made from it and from the objective that it serves; so is, for the first objective,
    a decision on each proposal that is no task.

    Raises:
        StepFailed: no objective, or one that lapsed; a task for an objective, or from a source, that was not handed in.
        DataError: a source, or a task that was seen, is held out; or fewer than ``at_least`` are left.
    """
    lapsed = [o for o in objectives if o.expires is not None and o.expires < steps.round]
    if not objectives or lapsed:
        what = f"the objective {lapsed[0].ability!r} lapsed after round {lapsed[0].expires}" if lapsed else "none"
        raise StepFailed(f"no live objective to create tasks for in round {steps.round}: {what}.", "Choose anew.")
    _refuse_held_out(op, [*sources, *seen], held_out)
    policies = tuple(h.policy.id for h in models.values())

    async def work(bound: Models) -> list[Output]:
        said = list(await op(objectives, sources, seen, bound))
        made = [x for x in said if isinstance(x, Created)]
        _refuse_strangers(op, made, objectives, sources)
        clashes = _Clashes(seen, held_out)
        return [
            *_tasks(made, policies),
            *_decisions(steps, op, made, policies, objectives, clashes),
            *_refusals([x for x in said if isinstance(x, Refused)], policies, objectives[0]),
        ]

    item = hash_of("create", [o.id for o in objectives], [t.id for t in sources], [t.id for t in seen])
    step = steps.step("create", op, "making tasks", tolerance=0.0)
    with steps.engaged("generate", step):
        (records,) = (await step.map([Item(item, work)], models)).values()
    decisions = only(Decision, records)
    kept = {d.item for d in decisions if d.kept}
    tasks = [t for t in only(Task, records) if t.id in kept]
    steps.note(f"{op.name}: made {len(only(Task, records))} tasks of {len(decisions)} proposals, kept {len(tasks)}")
    if len(tasks) < at_least:
        reasons = sorted({d.reason for d in decisions if not d.kept})
        raise DataError(
            f"{op.name} made no task for the objectives of round {steps.round} that could be kept"
            f"{': ' + '; '.join(reasons) if reasons else ''}.",
            "Give it other sources, or ask for fewer tasks.",
        )
    return Making(steps.round, tuple(decisions), tuple(tasks), tuple(o.id for o in objectives))


def appraise(
    steps: Steps, op: Create, making: Making, past: Sequence[Quality], attempts: Sequence[Experience]
) -> tuple[Quality, Decision]:
    """The quality of what a source made, and whether it may go on, both recorded. ``past``: of its earlier rounds;
    ``attempts``: judged answers to what it made, where there are any."""
    own = {t.id for t in making.tasks}
    judged = [e for e in attempts if e.task.id in own and e.feedback is not None and e.feedback.mark in _SCORED]
    marks = ((e.task.id, e.feedback is not None and e.feedback.mark is Mark.right) for e in judged)
    found = quality(op.name, making.round, making.decisions, [t.question for t in making.tasks], rights_of(marks))
    why = fallen([*past, found])
    inputs = (*making.objectives, *(e.feedback.id for e in judged if e.feedback is not None))
    numbers = found.model_dump(exclude={"source", "refused"})
    assessment = Assessment(
        verb="create", op=op.op_id, name=op.name, counts={"refused": found.refused}, trusted=why is None,
        numbers={k: None if v is None else float(v) for k, v in numbers.items()}, reason=why or "",
    )  # fmt: skip
    reason = f"{found.in_words()}; {f'it is stopped: {why}' if why else 'it goes on'}."
    decision = Decision(item=f"{SOURCE}{op.name}", kept=why is None, reason=reason)
    made = []
    for place, record in enumerate((assessment, decision)):
        id = mint(record.kind, APPRAISAL, inputs, steps.round, place)
        made.append(Made(record.model_copy(update={"id": id}), APPRAISAL, steps.round, place, inputs))
    if not steps.ledger.find(made[0].record.id):
        steps.ledger.ensure_op(APPRAISAL, "appraisal", {"op": "appraisal", "version": 1}, "")
        steps.ledger.add_records(made)
    steps.note(f"{'STOPPED: ' if why else ''}{op.name}: {reason}")
    return found, decision


_SCORED = (Mark.right, Mark.wrong)


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
    for task, made_from, _ in made:
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
    return (Output(task.model_copy(update={"id": ""}), (*made_from, *policies)) for task, made_from, _ in made)


def _decisions(
    steps: Steps, op: Create, made: Sequence[Created], policies: tuple[str, ...], objectives: Sequence[Objective],
    clashes: _Clashes,
) -> Iterator[Output]:  # fmt: skip
    by_id = {o.id: o for o in objectives}
    for place, (task, made_from, key_again) in enumerate(made):
        id = mint("task", op.op_id, (*made_from, *policies), steps.round, place)
        why_not = clashes.of(task)
        o = by_id[str(task.objective)]
        reason = why_not or f"made for the objective {o.ability} ({o.direction}, {o.tasks} tasks): {o.reason}"
        reason += KEY_AGAIN if key_again and why_not is None else ""
        yield Output(Decision(item=id, kept=why_not is None, reason=reason), (id, o.id), (id,))


def _refusals(refused: Sequence[Refused], policies: tuple[str, ...], objective: Objective) -> Iterator[Output]:
    """A decision on each proposal that is no task. It has no id of its own: its place stands for it."""
    for place, (reason,) in enumerate(refused):
        yield Output(Decision(item=f"proposal {place}", kept=False, reason=reason), (objective.id, *policies))


class _Clashes:
    """What new tasks must not repeat. Two tasks are the same when their canonical content is, or their words are, or
    they ask the same in other words (``instar.leaks``): whoever makes a task says himself what its content is."""

    def __init__(self, seen: Sequence[Task], held_out: Mapping[str, Sequence[Task]]) -> None:
        held = [t for own in held_out.values() for t in own]
        self._reasons: dict[str, str] = {}
        for reason, tasks in ((SEEN, seen), (HELD_OUT, held)):
            self._reasons.update((key, reason) for t in tasks for key in _keys(t))
        self._held, self._seen = Index(t.question for t in held), Index(t.question for t in seen)

    def of(self, task: Task) -> str | None:
        """Why a task cannot be kept. One that can be is from now on among those not to repeat."""
        if not task.question.strip():
            return EMPTY
        keys = _keys(task)
        found = [self._reasons[k] for k in keys if k in self._reasons]
        if HELD_OUT in found or self._held.of(task.question) is not None:
            return HELD_OUT
        if found:
            return found[0]
        if self._seen.of(task.question) is not None:
            return SEEN
        self._reasons.update((k, TWICE) for k in keys)
        return None


def _keys(task: Task) -> tuple[str, str, str]:
    what = content_of(task.question)
    asked = hash_of("asked", what.sums, what.numbers, sorted(what.words))
    return f"canonical:{task.canonical}", f"words:{normalised(task.question)}", f"asked:{asked}"
