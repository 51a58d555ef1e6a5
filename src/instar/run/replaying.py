"""The verb that brings earlier data into an update: what was learned, what a file holds, what the base writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from instar.errors import DataError, StepFailed
from instar.protocols import Models, Replay
from instar.records import (
    Decision,
    Experience,
    Finish,
    Mark,
    Policy,
    Sampling,
    Solution,
    Task,
    Turn,
    hash_of,
    mint,
)
from instar.run.evaluating import Eval
from instar.run.generate import handles
from instar.run.judging import judge
from instar.run.outputs import Output, only
from instar.run.solving import solve
from instar.run.steps import Steps
from instar.run.updating import replayed
from instar.similarity import normalised
from instar.store.ledger import Ledger
from instar.store.readers.lineage import kinds

GIVEN = "data"
"""Who wrote the answers of a file: no policy of the run."""


async def replay(
    steps: Steps, op: Replay, policy: Policy, new: Sequence[Experience], exam: Eval | None,
    held_out: Mapping[str, Sequence[Task]], aside: Collection[str] = (),
) -> list[Experience]:  # fmt: skip
    """What of the earlier is learned again beside ``new``, each recorded with a decision that says why; none of what
    is set ``aside``. Raises DataError for rows that hold a task that is held out or that changed since the run began,
    StepFailed where the policy is to be asked again and nobody says how."""
    there = {*aside, *(e.id for e in new)}
    learned = replayed(steps.ledger, policy) if getattr(op, "learned", True) else []
    brought = await _brought(steps, op, held_out)
    past = [e for e in (*learned, *brought) if e.id not in there]
    forgotten = await _forgotten(steps, op, policy, past, exam)
    known = {e.id: e for e in past}

    async def work(_: Models) -> list[Output]:
        made = list(op(past, new, forgotten)) if past else []
        if strange := [d.item for d in made if d.item not in known]:
            raise StepFailed(f"{op.name} replays {strange[0]!r}, which is none of the earlier answers.")
        return [Output(d, (d.item,)) for d in made]

    item = hash_of("replay", policy.id, [e.id for e in new], list(known), sorted(forgotten))
    taken = only(Decision, await steps.one("replay", op, item, work, phase="filter"))
    steps.note(f"{op.name}: {len(taken)} of {len(past)} earlier answers beside {len(new)} new ones")
    return [known[d.item] for d in taken if d.kept]


def refuse_held_out(op: Replay, held_out: Mapping[str, Sequence[Task]]) -> None:
    """Raises DataError if what an operator brings holds a task of dev, gate, sealed or a suite. The sentence says how
    many and of which set, and no word of them: whoever reads it may learn from the same file."""
    brought = [task for task, _ in op.brought()]
    mine = [_keys(task) for task in brought]
    for name, tasks in held_out.items():
        theirs = {key for t in tasks for key in _keys(t)}
        shared = sum(not theirs.isdisjoint(keys) for keys in mine)
        if shared:
            raise DataError(
                f"{op.name} brings {shared} of its {len(brought)} rows from the {name} set, which is held out: what is "
                "examined may not be learned.",
                f"Take the rows that stand in {name} out of the file.",
            )


def _keys(task: Task) -> tuple[str, str]:
    return f"canonical:{task.canonical}", f"words:{normalised(task.question)}"


async def _brought(steps: Steps, op: Replay, held_out: Mapping[str, Sequence[Task]]) -> list[Experience]:
    """The rows that an operator brings, recorded; answered by the run's base where it is to write them itself."""
    rows = op.brought()
    if not rows:
        return []
    refuse_held_out(op, held_out)
    writer = op.writes()
    ids = [mint("task", op.op_id, (), 0, place) for place in range(len(rows))]
    _refuse_changed(steps.ledger, op, ids, [task for task, _ in rows])

    async def work(_: Models) -> list[Output]:
        tasks = [Output(task.model_copy(update={"id": ""}), ()) for task, _ in rows]
        if writer is not None:
            return tasks
        given = [_given(id, answer) for id, (_, answer) in zip(ids, rows, strict=True)]
        return [*tasks, *(Output(s, (s.task,)) for s in given)]

    item = hash_of("brought", [(t.canonical, t.question, answer) for t, answer in rows])
    records = await steps.one("replay", op, item, work, round=0, phase="filter")
    tasks = only(Task, records)
    if writer is None:
        of = {s.task: s for s in only(Solution, records)}
        return [Experience(task=t, solution=of[t.id]) for t in tasks]
    models = handles(steps.engine, steps.base, steps.cast, steps.engine.precision_for("sample"))
    step = steps.step("solve", writer, "the base writes for itself", round=0)
    return await solve(steps, step, tasks, models)


def _refuse_changed(ledger: Ledger, op: Replay, ids: Sequence[str], tasks: Sequence[Task]) -> None:
    """Raises DataError for rows that are not those which this run brought in before."""
    one_more = mint("task", op.op_id, (), 0, len(ids))
    there = kinds(ledger, {*ids, one_more})
    stored = {t.id: t for t in only(Task, ledger.records(ids=there))}
    if stored and [stored.get(id) for id in (*ids, one_more)] != [
        *(t.model_copy(update={"id": id}) for id, t in zip(ids, tasks, strict=True)), None,
    ]:  # fmt: skip
        raise DataError(
            f"the rows of {op.name} changed since this run began.",
            "Put the file back as it was, or start a new run.",
        )


def _given(task: str, answer: str) -> Solution:
    return Solution(
        task=task, turns=(Turn(text=answer),), policy=GIVEN, engine="file", precision="none", sampling=Sampling(),
        finish=Finish.stop,
    )  # fmt: skip


async def _forgotten(
    steps: Steps, op: Replay, policy: Policy, past: Sequence[Experience], exam: Eval | None
) -> frozenset[str]:
    """The ids of what the policy is asked again and answers wrong now."""
    again = list(op.asks_again(past))
    if not again:
        return frozenset()
    if exam is None:
        raise StepFailed(f"{op.name} asks the policy again, and the recipe says not how.", "Hand run.replay an exam.")
    models = handles(steps.engine, policy, steps.cast, steps.engine.precision_for("sample"))
    attempts = await solve(steps, steps.step("solve", exam.solve, "asked again"), [e.task for e in again], models)
    attempts = await judge(steps, steps.step("judge", exam.judge, "checking again"), attempts, models)
    right = {e.task.id for e in attempts if e.feedback and e.feedback.mark is Mark.right}
    asked = {e.task.id for e in attempts}
    return frozenset(e.id for e in past if e.task.id in asked - right)
