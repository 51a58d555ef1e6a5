"""Rollouts inside an update: journalled by name and policy, judged, and stopped when too many calls fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import BudgetSpent, DataError, NothingToLearn, StepFailed
from instar.protocols import RolloutPrompts, Solve, Update, UpdateContext
from instar.records import Experience, Policy, Sampling
from instar.run.budget import Budget
from instar.run.run import Run
from tests.run.test_learning import Marks
from tests.run.test_run import Fussy, run_in, task

SAMPLE = Sample(samples=3, sampling=Sampling(temperature=0.8, max_tokens=32))
TASKS = [task(i) for i in range(2, 10)]


class RollsOut(Update):
    """Rolls out by the names it is given, and returns the policy as it is."""

    name: ClassVar[str] = "test_rolls_out"
    names: tuple[str, ...] = ("first", "second")
    repeats: int = 1
    seen: ClassVar[dict[str, list[Experience]]] = {}

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        tasks = list(context.rollout_prompts.tasks if context.rollout_prompts else []) * self.repeats
        for name in self.names:
            self.seen[name] = await context.roll_out(name, policy, tasks)
        return policy


class Watched(ScriptedEngine):
    """Counts how often it was unloaded."""

    unloaded = 0

    def unload(self) -> None:
        self.unloaded += 1


def practise(run: Run, op: Update, solve: Solve = SAMPLE) -> Policy:
    try:
        return asyncio.run(run.update(op, run.base, (), rollout_prompts=RolloutPrompts(TASKS, solve, Verify())))
    finally:
        run.ledger.close()


def test_answers_are_judged_in_task_order_and_each_rollout_has_its_own(tmp_path: Path) -> None:
    engine = Watched()
    practise(run_in(tmp_path, engine), RollsOut())
    first, second = RollsOut.seen["first"], RollsOut.seen["second"]
    assert [e.task.id for e in first] == [t.id for t in TASKS for _ in range(3)]
    assert all(e.feedback is not None and e.feedback.solution == e.solution.id for e in first)
    assert {e.feedback.score for e in first if e.feedback} == {0.0, 1.0}
    assert len({e.solution.id for e in (*first, *second)}) == 48
    assert [e.solution.text for e in first] != [e.solution.text for e in second]
    assert engine.unloaded == 3  # before the update, and after each rollout


def test_a_rollout_that_was_begun_asks_only_for_what_it_had_not(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent):
        practise(run_in(tmp_path, ScriptedEngine(), budget=Budget(calls=11)), RollsOut())
    run = run_in(tmp_path, ScriptedEngine())
    practise(run, RollsOut())
    assert (run.generate_context.asked, run.generate_context.replayed) == (
        16 - 11,
        0,
    )  # what is finished is not even looked up
    resumed = {n: [e.solution.text for e in es] for n, es in RollsOut.seen.items()}
    (tmp_path / "calm").mkdir()
    practise(run_in(tmp_path / "calm", ScriptedEngine()), RollsOut())
    assert {n: [e.solution.text for e in es] for n, es in RollsOut.seen.items()} == resumed


def test_a_failed_call_is_missing_up_to_the_runs_tolerance_and_stops_the_update_beyond_it(tmp_path: Path) -> None:
    op = RollsOut(names=("first",))
    practise(run_in(tmp_path, ScriptedEngine(), tolerance=0.5), op, Fussy())
    assert {int(e.task.canonical) % 2 for e in RollsOut.seen["first"]} == {0}
    (tmp_path / "strict").mkdir()
    with pytest.raises(StepFailed, match=r"4 of 8 calls of rollout \(fussy\) failed; the first: ValueError: odd"):
        practise(run_in(tmp_path / "strict", ScriptedEngine(), tolerance=0.4), op, Fussy())


def test_a_task_twice_in_a_rollout_or_no_practice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="a task twice"):
        practise(run_in(tmp_path, ScriptedEngine()), RollsOut(repeats=2))
    (tmp_path / "none").mkdir()
    run = run_in(tmp_path / "none", ScriptedEngine())
    (solution, *_) = asyncio.run(run.solve(SAMPLE, TASKS[:1], run.models(run.base)))
    with pytest.raises(DataError, match="nothing to practise on"):
        asyncio.run(run.update(RollsOut(), run.base, [solution]))
    run.ledger.close()


def test_rollouts_of_which_none_is_right_stop_the_run_before_the_candidate_is_kept(tmp_path: Path) -> None:
    many = [task(i) for i in range(2, 30)]
    for _ in range(2):  # and again where it is resumed
        run = run_in(tmp_path, ScriptedEngine())
        run.round, run.last_round = 1, 1
        with pytest.raises(NothingToLearn, match="0 of 84 answers are right"):
            asyncio.run(
                run.update(
                    RollsOut(names=("only",)), run.base, (), rollout_prompts=RolloutPrompts(many, SAMPLE, Marks())
                )
            )
        run.ledger.close()
    run = run_in(tmp_path, ScriptedEngine())
    run.round, run.last_round, run.keep_going = 1, 1, True
    rollout_prompts = RolloutPrompts(many, SAMPLE, Marks())
    assert (
        asyncio.run(run.update(RollsOut(names=("only",)), run.base, (), rollout_prompts=rollout_prompts)).id
        == run.base.id
    )
    run.ledger.close()


class GoesOn(RollsOut):
    """Rolls out what its journal does not have yet, as an update does that goes on from a checkpoint."""

    name: ClassVar[str] = "test_goes_on"
    asks_again: bool = False

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        for name in self.names:
            if context.recall(name) is None:
                await context.roll_out(name, policy, context.rollout_prompts.tasks if context.rollout_prompts else ())
                await context.remember(name, {"over": True})
            elif self.asks_again:
                context.rolled_out(name, context.rollout_prompts.tasks if context.rollout_prompts else ())
        if context.recall("killed") is None:
            await context.remember("killed", {"once": True})
            raise BudgetSpent("killed.")
        return policy.model_copy(update={"system": "Count.", "parent": policy.id, "id": ""}).identified()


@pytest.mark.parametrize("asks_again", [False, True])
def test_whether_rollouts_stop_a_run_does_not_depend_on_a_kill(tmp_path: Path, asks_again: bool) -> None:
    def updated(judge: Marks | Verify, *, keep_going: bool = False) -> tuple[Run, Policy]:
        run = run_in(tmp_path / type(judge).__name__, ScriptedEngine())
        run.round, run.last_round, run.keep_going = 1, 1, keep_going
        op = GoesOn(names=("a", "b"), asks_again=asks_again)
        try:
            return run, asyncio.run(run.update(op, run.base, (), rollout_prompts=RolloutPrompts(many, SAMPLE, judge)))
        finally:
            run.ledger.close()

    many = [task(i) for i in range(2, 17)]  # 45 answers: enough, in each rollout
    for judge in (Marks(), Verify()):
        (tmp_path / type(judge).__name__).mkdir()
        with pytest.raises(BudgetSpent):
            updated(judge)
    for _ in range(2):  # neither the first time nor, with all at hand, the second
        with pytest.raises(NothingToLearn, match="0 of 90 answers are right"):
            updated(Marks())
    run, made = updated(Marks(), keep_going=True)
    assert (len(run.heard.attempts), run.heard.ever_right) == (90, False)
    run, made = updated(Verify())
    assert (len(run.heard.attempts), run.heard.ever_right, made.system) == (90, True, "Count.")
    run, again = updated(Verify())  # the update is not called again, and what it heard is known
    assert (len(run.heard.attempts), run.heard.ever_right, again.id) == (90, True, made.id)
