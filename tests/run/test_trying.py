"""What was tried is remembered in the run alone: counted once a round, handed to selections, and never of an exam."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.tasks.by_age import ByLot
from instar.acquire.tasks.by_learnability import ByLearnability
from instar.acquire.tasks.split import Split
from instar.errors import StepFailed
from instar.protocols import Selection, Tried
from instar.records import Decision, Objective, Task
from instar.run.run import Run, Sets
from instar.run.trying import Tries
from tests.evaluate.build import attempt, tasks_of
from tests.recipes.test_full_loop import Quick
from tests.run.test_run import SAMPLE
from tests.run.test_steering import GOOD, POOL, Told, opened

T = tasks_of(3)


def test_answers_are_counted_by_task_policy_and_round_and_what_was_not_scored_is_no_try() -> None:
    tries = Tries()
    tries.hear(1, [attempt(T[0], m, i) for i, m in enumerate("110x?")] + [attempt(T[1], "?")])
    tries.hear(2, [attempt(T[0], "1", policy="q")])
    assert [(t.task.id, t.policy, t.round, t.right, t.tries) for t in tries.all()] == [
        (T[0].id, "p", 1, 2, 4), (T[0].id, "q", 2, 1, 1)
    ]  # fmt: skip


def test_the_first_marks_of_a_round_stand() -> None:
    """Answers that were written again after the first ones, or audited, are not tries of their own."""
    tries = Tries()
    tries.hear(1, [attempt(T[0], "0")])
    tries.hear(1, [attempt(T[0], "1", 1), attempt(T[1], "1")])
    assert [(t.task.id, t.right, t.tries) for t in tries.all()] == [(T[0].id, 0, 1), (T[1].id, 1, 1)]


class Says(Selection):
    """Takes what was tried, once or as often as it is told, and says in its reason what it was handed."""

    name: ClassVar[str] = "says_selection"
    times: int = 1
    stranger: bool = False

    def select(
        self, objectives: Sequence[Objective], pool: Sequence[Task], tried: Sequence[Tried]
    ) -> Sequence[Decision]:
        said = " ".join(f"{t.round}:{t.right}/{t.tries}" for t in tried)
        item = "i1:nobody" if self.stranger else (tried[0].task.id if tried else pool[0].id)
        return [Decision(item=item, kept=True, reason=f"tried {said or 'nothing'}")] * self.times


def test_a_selection_is_handed_what_was_tried_and_its_reason_is_recorded(tmp_path: Path) -> None:
    run = opened(tmp_path)

    async def work() -> None:
        goals = await run.choose(Told(tree=GOOD), [], 0, 2)
        assert [t.id for t in await run.propose(Says(), goals, POOL)] == [POOL[0].id]
        run.round = run.last_round = 1
        models = run.models(run.base)
        await run.judge(Quick(), await run.solve(SAMPLE, POOL[:1], models), models)
        run.round = 2
        again = await run.choose(Told(tree=GOOD), [], 0, 2)
        assert [t.id for t in await run.propose(Says(), again, POOL[1:])] == [POOL[0].id]

    asyncio.run(work())
    first, second = (d for d in run.ledger.records("decision") if isinstance(d, Decision) and d.item == POOL[0].id)
    assert first.reason.endswith("told This one: tried nothing.")
    assert f"This one: tried 1:{run.tries.all()[0].right}/3." in second.reason


@pytest.mark.parametrize(("op", "said"), [(Says(times=2), "twice"), (Says(stranger=True), "not in the pool")])
def test_a_selection_that_takes_twice_or_what_is_nowhere_is_refused(tmp_path: Path, op: Says, said: str) -> None:
    run = opened(tmp_path)

    async def work() -> None:
        await run.propose(op, await run.choose(Told(tree=GOOD), [], 0, 2), POOL)

    with pytest.raises(StepFailed, match=said):
        asyncio.run(work())


@pytest.mark.parametrize("op", [Split(), ByLot(), ByLearnability(), Says()], ids=lambda op: op.name)
@pytest.mark.parametrize("name", ["gate", "sealed"])
def test_nothing_chooses_among_the_tasks_of_gate_and_sealed(tmp_path: Path, name: str, op: Split) -> None:
    run: Run = opened(tmp_path)
    run.tasks = Sets((), (), tuple(POOL[3:]) if name == "gate" else (), tuple(POOL[3:]) if name == "sealed" else ())

    async def work(pool: Sequence[Task]) -> None:
        await run.propose(op, await run.choose(Told(tree=GOOD), [], 0, 2), pool)

    with pytest.raises(StepFailed, match="among tasks of gate or sealed"):
        asyncio.run(work(POOL))
    asyncio.run(work(POOL[:3]))
