"""The verbs that steer a run: the next objective, its tasks, whether a round can help, and a round's health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from instar.errors import DataError, StepFailed
from instar.protocols import Choose, Filter, Judge, Models, Predict, Propose, Selection, Tried, Watch
from instar.records import Decision, Experience, Health, Objective, Policy, Report, Task, hash_of, mint
from instar.run.evaluating import Eval
from instar.run.generate import handles
from instar.run.judging import judge
from instar.run.keys import EXAM_ROUND
from instar.run.outputs import Output, only
from instar.run.solving import solve
from instar.run.steps import Steps

STEER = "steer"  # the phase whose seconds these verbs take


async def choose(steps: Steps, op: Choose, reports: Sequence[Report], refused: int, budget: int) -> list[Objective]:
    """The objectives of this round, recorded as a tree with the root first. ``reports``: dev, newest last."""
    inputs = tuple(r.id for r in reports)

    async def work(_: Models) -> list[Output]:
        made = list(op(reports, refused, steps.round, budget))
        if not made:
            raise StepFailed(f"{op.name} gave no objective.", "It must give a root; to stop, one without tasks.")
        places: dict[str, int] = {}
        for place, o in enumerate(made):
            if o.ability in places or (o.parent not in places if place else o.parent is not None):
                raise StepFailed(
                    f"{op.name} gave the objective {o.ability!r} twice or before its parent {o.parent!r}.",
                    "Give the root first, then each objective once, after its parent (named by its ability).",
                )
            places[o.ability] = place
        ids = {a: mint("objective", op.op_id, inputs, steps.round, place) for a, place in places.items()}
        return [Output(o.model_copy(update={"parent": ids[o.parent]} if o.parent else {}), inputs) for o in made]

    made = await steps.one("choose", op, hash_of("choose", inputs, refused, budget), work, phase=STEER)
    objectives = only(Objective, made)
    steps.note(f"objective: {objectives[0].reason}")
    for o in objectives[1:]:
        steps.note(f"  {o.direction} {o.ability}, {o.tasks} tasks: {o.reason}")
    return objectives


async def propose(
    steps: Steps, op: Propose, objectives: Sequence[Objective], pool: Sequence[Task], tried: Sequence[Tried] = (),
    examined: Collection[str] = (),
) -> list[Task]:  # fmt: skip
    """Tasks of ``pool`` for these objectives; a ``Selection`` may also take again what was ``tried``. Each selection is
    recorded as a decision made from the objective that it serves; a task not selected stays in the pool, undecided.

    Raises StepFailed where a task is ``examined`` (of gate or sealed, by id): those are never chosen by anything.
    """
    tried = tried if isinstance(op, Selection) else ()
    if aside := [t.id for t in (*pool, *(t.task for t in tried)) if t.id in examined]:
        raise StepFailed(
            f"{op.name} was to choose among tasks of gate or sealed ({aside[0]}): an exam whose items are chosen by "
            "what policies did says nothing of them.",
            "Give it tasks of train.",
        )
    lapsed = [o for o in objectives if o.expires is not None and o.expires < steps.round]
    if not objectives or lapsed:
        what = f"the objective {lapsed[0].ability!r} lapsed after round {lapsed[0].expires}" if lapsed else "none"
        raise StepFailed(f"no live objective to propose tasks for in round {steps.round}: {what}.", "Choose anew.")
    by_ability = {o.ability: o for o in objectives}
    there = {**{t.task.id: t.task for t in tried}, **{t.id: t for t in pool}}

    async def work(_: Models) -> list[Output]:
        out: list[Output] = []
        if isinstance(op, Selection):
            found = [(d.item, f" This one: {d.reason}.") for d in op.select(objectives, pool, tried)]
        else:
            found = [(t.id, "") for t in await op(objectives, pool, {})]
        for id, why in found:
            if any(id == o.inputs[0] for o in out):
                raise StepFailed(f"{op.name} proposed the task {id} twice.", "Give each task once.")
            if id not in there:
                raise StepFailed(f"{op.name} proposed the task {id or '(new)'}, which is not in the pool.")
            task = there[id]
            family = task.ability.partition("/")[0]
            o = by_ability.get(task.ability) or by_ability.get(family) or objectives[0]
            reason = f"selected for the objective {o.ability} ({o.direction}, {o.tasks} tasks): {o.reason}{why}"
            out.append(Output(Decision(item=task.id, kept=True, reason=reason), (task.id, o.id), (task.id,)))
        return out

    known = [[(t.task.id, t.policy, t.round, t.right, t.tries) for t in tried]] if tried else []
    item = hash_of("propose", [o.id for o in objectives], [t.id for t in pool], *known)
    tasks = [there[d.item] for d in only(Decision, await steps.one("propose", op, item, work, phase=STEER))]
    if not tasks:
        raise DataError(
            f"the pool has no task left for the objectives of round {steps.round} ({len(pool)} tasks in the pool).",
            "Draw a larger one (sizes.train), or ask for fewer rounds or tasks a round.",
        )
    _say_shortage(steps, objectives, tasks)
    return tasks


def _say_shortage(steps: Steps, objectives: Sequence[Objective], tasks: Sequence[Task]) -> None:
    got = Counter(t.ability for t in tasks)
    steps.note(f"tasks: {', '.join(f'{a} {n}' for a, n in sorted(got.items()))}")
    parents = {o.parent for o in objectives}
    for o in objectives:
        if o.id not in parents and got[o.ability] < o.tasks:
            steps.note(f"{o.ability}: {got[o.ability]} of its {o.tasks} tasks")
    if len(tasks) < objectives[0].tasks:
        steps.note(f"the pool is short: {len(tasks)} of {objectives[0].tasks} tasks in this round")


async def predict(
    steps: Steps, op: Predict, verifier: Judge, right: Filter, exam: Eval, policy: Policy, report: Report,
    dev: Sequence[Task],
) -> Decision:  # fmt: skip
    """Whether a round can help, recorded with its reason, from a ``report`` of this policy on this exam of the ``dev``
    set. The exam's own answers are judged again by the round's ``verifier`` and kept or not by ``right``; none is asked
    for."""
    models = handles(steps.engine, policy, steps.cast, steps.engine.precision_for("exam"))
    step = steps.step("exam", exam.solve, "dev answers", round=EXAM_ROUND, tolerance=0.0, quiet=True)
    attempts = await solve(steps, step, dev, models)
    step = steps.step("judge", verifier, "checking dev", round=EXAM_ROUND, tolerance=0.0, quiet=True)
    attempts = await judge(steps, step, attempts, models)
    groups: dict[str, list[Experience]] = {}
    for e in attempts:
        groups.setdefault(e.task.id, []).append(e)

    async def work(_: Models) -> list[Output]:
        calls = list(groups.values()) if right.scope == "group" else [attempts]
        kept = {d.item for group in calls for d in right(group) if d.kept}
        accepted = {task: [e.id in kept for e in own] for task, own in groups.items()}
        return [Output(op(report, accepted), (report.id,))]

    item = hash_of("predict", report.id, verifier.op_id, right.op_id)
    (decision,) = only(Decision, await steps.one("predict", op, item, work, phase=STEER))
    steps.note(f"prediction: {decision.reason}")
    return decision


async def health(
    steps: Steps, op: Watch, past: Sequence[Health], attempts: Sequence[Experience], kept: Sequence[Experience],
    before: Report | None, after: Report | None,
) -> Health:  # fmt: skip
    """This round's health after the ``past`` rounds', recorded; raised alarms are said at once."""
    reports = [r.id for r in (before, after) if r is not None]

    async def work(_: Models) -> list[Output]:
        inputs = tuple(dict.fromkeys([*(e.solution.policy for e in attempts), *reports, *(h.id for h in past[-1:])]))
        return [Output(op(past, attempts, kept, before, after), inputs)]

    item = hash_of("health", [h.id for h in past], [e.id for e in attempts], [e.id for e in kept], reports)
    (found,) = only(Health, await steps.one("health", op, item, work, phase=STEER))
    for alarm in found.alarms:
        if alarm.raised:
            steps.note(f"ALARM {alarm.name}: {alarm.reason}")
    return found
