"""Measuring judges and filters while a run works: planted answers go where the real ones go, and never into training.

A judge is measured before its verdicts on real answers are asked for, and refused with a sentence if it cannot be
trusted. Plants are judged in calls of their own: a vote or a cap that saw one among the real answers would decide
otherwise on those. For filters the same, so each is called twice: on the real answers, which counts, and on both
together, of which only the words on the plants are read (filters are pure: the real answers never notice).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.errors import InstarError, JudgeRefused, StepFailed
from instar.legible import said as in_words
from instar.protocols import Filter, Judge, Models, Op, Routes
from instar.records import (
    Assessment,
    Decision,
    Experience,
    Feedback,
    Plant,
    Solution,
    Task,
    Worth,
    hash_of,
)
from instar.run.generate import Handle, Handles
from instar.run.keys import EXAM_ROUND, SELF
from instar.run.mapping import Item, by_task
from instar.run.measuring import JUDGE, Marked, believed
from instar.run.outputs import Output, only
from instar.run.steps import Steps


def with_judge(steps: Steps, op: Judge, models: Handles, round: int) -> Handles:
    """The models of a judge's call. In an exam no policy judges itself: without a ``judge_model`` the base does."""
    if not op.believes_a_model or JUDGE in models:
        return models
    policy = steps.measuring.judge or (steps.base if round == EXAM_ROUND else None)
    if policy is None:
        return models
    precision = models[SELF].precision
    if isinstance(steps.engine, Routes):  # another engine may answer for it, and has other arithmetic
        precision = steps.engine.precision_beside(policy, precision)
    return {**models, JUDGE: Handle(policy, precision)}


def refuse_unmeasured(steps: Steps, op: Judge) -> None:
    """Raises JudgeRefused for a judge that believes a model where it cannot be measured: inside an update, whose
    policy changes at every step, and with it the judge if that is itself."""
    if steps.measuring.audit is not None and op.believes_a_model:
        raise JudgeRefused(
            f"the judge {op.name!r} asks a model, and inside an update's own rollouts no judge is measured.",
            "Give this recipe a judge that asks none, or believe it unmeasured with --set audit_with=none; either "
            "with --accept-changes.",
        )


async def measure_judge(steps: Steps, op: Judge, attempts: Sequence[Experience], models: Handles, round: int) -> None:
    """Record what planted answers say of a judge, once a round. Raises JudgeRefused if it is not to be trusted."""
    who = next(iter(believed(op, models)), None)
    key = (op.op_id, who, round)
    if (
        steps.measuring.audit is None
        or key in steps.measuring.done
        or (round == EXAM_ROUND and not op.believes_a_model)
    ):
        return
    steps.measuring.done.add(key)
    grown = [] if op.planted_in == "nowhere" else await _grow(steps, attempts, round)
    if not grown:
        if op.believes_a_model:
            raise JudgeRefused(
                f"the judge {op.name!r} cannot be measured: none of {len(attempts)} answers is a text to a task with a "
                "known answer.",
                "Start a new run on tasks with answers, or believe it unmeasured with --set audit_with=none "
                "--accept-changes.",
            )
        return
    said = await _words(steps, op, grown, attempts, models, round)
    if round != EXAM_ROUND:  # filters see the plants as the first judge of the round marked them
        marked = [(p, Experience(task=t, solution=p.shown, feedback=said.get(p.id))) for t, ps in grown for p in ps]
        steps.measuring.planted.setdefault(round, marked)
    found = await _assess(steps, op, who, [p for _, ps in grown for p in ps], said, round)
    steps.note(f"audit of {op.name}: {found.reason}")
    if not found.trusted:
        raise JudgeRefused(
            f"the judge {op.name!r} is refused: {found.reason}.",
            "Nothing it said was used. Name another judge or judge_model, or move audit_with.kappa_at_least: with "
            "--set and --accept-changes.",
        )


async def measure_filter(steps: Steps, op: Filter, attempts: Sequence[Experience], plants: Marked) -> Marked:
    """The planted answers that pass a filter among these real ones; what this says of the filter is recorded."""
    if not plants:
        return []
    mine = {p.id for p, _ in plants}
    if op.scope == "group":  # a group without a plant says nothing of one
        grown = {e.task.id for _, e in plants}
        attempts = [e for e in attempts if e.task.id in grown]
    mixed = list(by_task([*attempts, *(e for _, e in plants)]).values())
    calls = mixed if op.scope == "group" else [[e for group in mixed for e in group]]
    try:
        said = {d.item: d for group in calls for d in op(group) if d.item in mine}
    except InstarError:
        raise
    except (Exception, SystemExit) as e:  # a user's filter may do anything
        why = f"the filter {op.name} failed on planted answers: {type(e).__name__}: {in_words(e)}."
        raise StepFailed(why, "Mend the filter and resume: the rest is kept.") from e
    key = (op.op_id, None, steps.round)
    if key not in steps.measuring.done:
        steps.measuring.done.add(key)
        await _assess(steps, op, None, [p for p, _ in plants], said, steps.round)
    return [(p, e) for p, e in plants if p.id in said and said[p.id].kept]


async def _grow(steps: Steps, attempts: Sequence[Experience], round: int) -> list[tuple[Task, list[Plant]]]:
    """The plants of this round's picked tasks, as recorded."""
    audit = steps.measuring.audit
    if audit is None:
        return []
    picked = list(audit.pick(attempts))

    def item(like: Experience) -> Item:
        async def work(_: Models) -> list[Output]:
            others = [e for e in picked if e.task.id != like.task.id]
            return [Output(p, (like.task.id, like.solution.id)) for p in audit.grow(like, others)]

        return Item(hash_of("plant", like.task.id, like.solution.id), work)

    items = {e.task.id: item(e) for e in picked}
    step = steps.step("plant", audit, "planting", round=round, tolerance=0.0, quiet=True)
    made = await step.map(list(items.values()), {})
    grown = [(e.task, only(Plant, made.get(items[e.task.id].id, []))) for e in picked]
    return [(task, plants) for task, plants in grown if plants]


async def _words(
    steps: Steps, op: Judge, grown: Sequence[tuple[Task, Sequence[Plant]]], attempts: Sequence[Experience],
    models: Handles, round: int,
) -> dict[str, Feedback]:  # fmt: skip
    """What a judge says of the plants, by their ids; one that its call failed on is missing."""
    real = by_task(attempts)
    who = believed(op, models)
    items = [
        _call(op, task, shown, wanted, who)
        for task, plants in grown
        for shown, wanted in _groups(op, plants, [e.solution for e in real.get(task.id, [])])
    ]
    step = steps.step("judge", op, "measuring the judge", round=round, tolerance=1.0, quiet=not op.believes_a_model)
    made = await step.map(items, models)
    return {f.solution: f for records in made.values() for f in only(Feedback, records)}


async def _assess(
    steps: Steps, op: Op, who: str | None, plants: Sequence[Plant], said: Mapping[str, Feedback | Decision], round: int
) -> Assessment:
    audit = steps.measuring.audit
    assert audit is not None

    async def work(_: Models) -> list[Output]:
        return [Output(audit.assess(op, who, plants, said), (*(p.id for p in plants), *([who] if who else [])))]

    # the step is the measured operator's: one audit measures many on the same plants, each to its own record
    item = hash_of("assess", op.op_id, who, [p.id for p in plants])
    (found,) = only(Assessment, await steps.one("assess", op, item, work, round=round))
    return found


def _groups(
    op: Judge, plants: Sequence[Plant], real: Sequence[Solution]
) -> list[tuple[list[Solution], frozenset[str]]]:
    """The groups a judge is shown, and whose verdicts are read. In order of id: a place says nothing of worth."""
    of = {p.worth: p.shown for p in plants}
    if op.planted_in == "fellows":
        groups = [([*real, p.shown], [p.shown]) for p in plants]
    elif op.planted_in == "pairs":
        groups = [([of[Worth.good], of[Worth.bad]], [of[Worth.good], of[Worth.bad]])]
        if Worth.wrong_reason in of:
            groups.append(([of[Worth.bad], of[Worth.wrong_reason]], [of[Worth.wrong_reason]]))
    else:
        groups = [([p.shown for p in plants], [p.shown for p in plants])]
    return [(sorted(shown, key=lambda s: s.id), frozenset(s.id for s in wanted)) for shown, wanted in groups]


def _call(op: Judge, task: Task, shown: Sequence[Solution], wanted: frozenset[str], who: tuple[str, ...]) -> Item:
    async def work(bound: Models) -> list[Output]:
        return [Output(f, (task.id, f.solution, *who)) for f in await op(task, shown, bound) if f.solution in wanted]

    return Item(hash_of("group", [s.id for s in shown]), work)
