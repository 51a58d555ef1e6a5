"""The verbs: what is finished is never asked again, a failure is data, and what cannot be trusted stops the run."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import BudgetSpent, CannotContinue, DataError, EngineError, StepFailed, StoreError
from instar.protocols import Models, Solve
from instar.records import Message, Policy, Role, Sampling, Solution, Task, hash_of, mint
from instar.run.budget import Budget, BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.progress import Screen
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.scripted_world import base_policy
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger, Made

SAMPLE = Sample(samples=3, sampling=Sampling(temperature=0.8, max_tokens=32))


def task(i: int) -> Task:
    t = Task(messages=(Message(role=Role.user, content=f"Calculate {i} + {i}."),), ability="add", canonical=str(i),
             source="test", private={"answer": str(2 * i)})  # fmt: skip
    return t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)})


def run_in(
    folder: Path, engine: ScriptedEngine, *, budget: Budget | None = None, tolerance: float = 0.0, seed: int = 1
) -> Run:
    ledger = Ledger(folder / "ledger.db")
    budget_tracker = BudgetTracker(budget or Budget(), folder)
    return Run(
        ledger=ledger, engine=engine, artefacts=Artefacts(folder / "artefacts"),
        generate_context=GenerateContext(engine, ledger, budget_tracker, asyncio.Event()),
        budget_tracker=budget_tracker, screen=Screen("silent"), watch=Stopwatch(), stop=threading.Event(),
        folder=folder, seed=seed, base=base_policy(), tasks=Sets((), (), (), ()), tolerance=tolerance,
    )  # fmt: skip


def stored(run: Run, tasks: Sequence[Task]) -> Run:
    """The same run, with its tasks and its base in the ledger, as a session stores them."""
    made = [Made(t, "i1:t", 0, i) for i, t in enumerate(tasks)]
    run.ledger.add_sets(made, [("train", i, t.id) for i, t in enumerate(tasks)])
    run.ledger.add_records([Made(run.base, hash_of("model", "scripted"), 0, 0)])
    return run


def solve(run: Run, op: Solve, tasks: Sequence[Task]) -> list[Solution]:
    made = asyncio.run(run.solve(op, tasks, run.models(run.base)))
    run.ledger.close()
    return [e.solution for e in made]


class Fussy(Solve):
    """Fails on odd tasks."""

    name: ClassVar[str] = "fussy"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        if int(task.canonical) % 2:
            raise ValueError(f"odd: {task.canonical}")
        return await SAMPLE(task, models)


class TwoTurns(Solve):
    """Asks twice; the second time it may be told to break."""

    name: ClassVar[str] = "two_turns"
    breaks: ClassVar[bool] = False
    first: ClassVar[str] = "Calculate 1 + 1."

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        sampling = Sampling(max_tokens=8)
        await models["self"].ask([Message(role=Role.user, content=self.first)], sampling=sampling)
        if self.breaks:
            raise StoreError("pulled the plug")
        return await SAMPLE(task, models)


def test_the_same_seed_gives_the_same_solutions_and_another_seed_others(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        made.append(solve(run_in(tmp_path / name, ScriptedEngine(), seed=seed), SAMPLE, [task(i) for i in range(5)]))
    assert made[0] == made[1]
    assert [s.text for s in made[0]] != [s.text for s in made[2]]
    assert len({s.id for s in made[0]}) == 15


def test_a_finished_call_is_replayed_and_not_asked_again(tmp_path: Path) -> None:
    first = solve(run_in(tmp_path, ScriptedEngine()), SAMPLE, [task(i) for i in range(5)])
    again = run_in(tmp_path, ScriptedEngine())
    assert solve(again, SAMPLE, [task(i) for i in range(5)]) == first
    assert again.generate_context.asked == 0


def test_a_kill_inside_a_call_repeats_only_the_turn_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoTurns, "breaks", True)
    with pytest.raises(StoreError, match="pulled the plug"):
        solve(run_in(tmp_path, ScriptedEngine()), TwoTurns(), [task(1)])
    monkeypatch.setattr(TwoTurns, "breaks", False)
    again = run_in(tmp_path, ScriptedEngine())
    solve(again, TwoTurns(), [task(1)])
    assert (again.generate_context.replayed, again.generate_context.asked) == (1, 1)


def test_an_operator_that_asks_something_else_after_a_kill_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwoTurns, "breaks", True)
    with pytest.raises(StoreError):
        solve(run_in(tmp_path, ScriptedEngine()), TwoTurns(), [task(1)])
    monkeypatch.setattr(TwoTurns, "breaks", False)
    monkeypatch.setattr(TwoTurns, "first", "Calculate 2 + 2.")
    with pytest.raises(CannotContinue, match="asked something else") as refused:
        solve(run_in(tmp_path, ScriptedEngine()), TwoTurns(), [task(1)])
    assert "resume with --accept-changes to ask this again" in refused.value.hint
    again = run_in(tmp_path, ScriptedEngine())
    again.generate_context.accept_changes = True
    assert len(solve(again, TwoTurns(), [task(1)])) == 3


class Full(Solve):
    """Finds no room for what it writes."""

    name: ClassVar[str] = "full"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device")])


def test_a_full_disk_inside_a_call_stops_the_run_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the disk of .* is full: nothing already stored is lost") as stopped:
        solve(run_in(tmp_path, ScriptedEngine()), Full(), [task(1), task(2)])
    assert stopped.value.exit_code == 6
    assert "Errno" not in str(stopped.value)


def test_a_tolerated_failure_is_final_and_a_resumed_run_sees_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task(i) for i in range(4)]
    first = solve(run_in(tmp_path, ScriptedEngine(), tolerance=0.5), Fussy(), tasks)
    assert {s.task for s in first} == {tasks[0].id, tasks[2].id}
    monkeypatch.setattr(Fussy, "__call__", SAMPLE.__call__)  # it would work now, but the step was accepted
    assert solve(run_in(tmp_path, ScriptedEngine(), tolerance=0.5), Fussy(), tasks) == first


def test_more_failures_than_tolerated_stop_the_step_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task(i) for i in range(4)]
    with pytest.raises(StepFailed, match=r"2 of 4 calls of solve \(fussy\) failed; the first: ValueError: odd"):
        solve(run_in(tmp_path, ScriptedEngine(), tolerance=0.2), Fussy(), tasks)

    async def mended(self: Fussy, task: Task, models: Models) -> Sequence[Solution]:
        return await SAMPLE(task, models)

    monkeypatch.setattr(Fussy, "__call__", mended)
    again = run_in(tmp_path, ScriptedEngine(), tolerance=0.2)
    assert len(solve(again, Fussy(), tasks)) == 12
    assert again.generate_context.asked == 2


def test_the_same_input_twice_in_one_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="given twice to one solve step"):
        solve(run_in(tmp_path, ScriptedEngine()), SAMPLE, [task(1), task(1)])


def test_a_transient_failure_is_tried_again_and_gives_what_it_would_have_given(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "flaky").mkdir()
    tasks = [task(i) for i in range(20)]
    calm = solve(run_in(tmp_path / "calm", ScriptedEngine()), SAMPLE, tasks)
    flaky = solve(run_in(tmp_path / "flaky", ScriptedEngine(fail_rate=0.3), tolerance=0.3), SAMPLE, tasks)
    assert {s.id: s.digest for s in flaky}.items() <= {s.id: s.digest for s in calm}.items()
    assert len(flaky) > 30


class Liar(ScriptedEngine):
    """Answers with another policy's name, or with too few replies."""

    def __init__(self, *, few: bool = False) -> None:
        super().__init__()
        self.few = few

    async def ask(self, policy: Policy, messages: Sequence[Message], **how: object):  # type: ignore[override]
        replies = await super().ask(policy, messages, **how)  # type: ignore[arg-type]
        return replies[1:] if self.few else [r.model_copy(update={"policy": "i1:stale"}) for r in replies]


def test_replies_of_another_policy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="answered with policy i1:stale"):
        solve(run_in(tmp_path, Liar()), SAMPLE, [task(1)])


def test_too_few_replies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="gave 2 replies where 3 were asked"):
        solve(run_in(tmp_path, Liar(few=True)), SAMPLE, [task(1)])


@pytest.mark.parametrize(("limit", "says"), [({"calls": 3}, "3 calls"), ({"tokens": 10}, "10 tokens")])
def test_a_budget_stops_the_run_and_keeps_what_is_finished(tmp_path: Path, limit: dict, says: str) -> None:
    tasks = [task(i) for i in range(400)]
    poor = run_in(tmp_path, ScriptedEngine(latency=0.001), budget=Budget(**limit))
    with pytest.raises(BudgetSpent, match=says):
        solve(poor, SAMPLE, tasks)
    asked = poor.generate_context.asked
    assert 0 < asked < 400
    if "calls" in limit:
        assert asked == limit["calls"]
    rich = run_in(tmp_path, ScriptedEngine())
    assert len(solve(rich, SAMPLE, tasks)) == 1200
    assert rich.generate_context.asked + asked <= 400 + ScriptedEngine().concurrency


def test_a_disk_budget_is_checked_before_something_large_is_written(tmp_path: Path) -> None:
    budget_tracker = BudgetTracker(Budget(disk_gb=1.0), tmp_path)
    budget_tracker.check_disk(0.5)
    with pytest.raises(BudgetSpent, match=r"2\.0 GB"):
        budget_tracker.check_disk(2.0)
    with pytest.raises(StoreError, match="are to stay free"):
        BudgetTracker(Budget(keep_free_gb=10_000_000), tmp_path).check_disk()


def test_an_update_without_data_is_refused(tmp_path: Path) -> None:
    from instar.update.weights.sft import SFT

    run = run_in(tmp_path, ScriptedEngine())
    with pytest.raises(DataError, match="nothing to update from"):
        asyncio.run(run.update(SFT(), run.base, []))


def test_a_model_handle_outside_an_operator_cannot_be_asked(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    with pytest.raises(EngineError, match="only inside an operator"):
        asyncio.run(run.models(run.base)["self"].ask([], sampling=Sampling()))


def test_nested_phases_count_once_and_add_up_to_the_wall_clock() -> None:
    import time

    watch = Stopwatch()
    with watch.phase("train"):
        time.sleep(0.02)
        with watch.phase("checkpoint"):
            time.sleep(0.05)
    spans = watch.spans()
    assert spans["checkpoint"][0] >= 0.05
    assert 0.02 <= spans["train"][0] < 0.05
    assert sum(s for s, _ in spans.values()) == pytest.approx(time.monotonic() - watch.began, abs=0.01)


def test_two_roles_in_one_call_have_keys_of_their_own(tmp_path: Path) -> None:
    class Both(Solve):
        """Asks two roles."""

        name: ClassVar[str] = "both"

        async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
            await models["judge"].ask([Message(role=Role.user, content="Calculate 1 + 1.")], sampling=Sampling())
            return await SAMPLE(task, models)

    first = run_in(tmp_path, ScriptedEngine())
    models = {**first.models(first.base), "judge": first.models(base_policy("You judge."))["self"]}
    made = asyncio.run(first.solve(Both(), [task(1)], models))
    assert first.ledger.asked()["calls"] == 2
    first.ledger.close()
    again = run_in(tmp_path, ScriptedEngine())
    assert asyncio.run(again.solve(Both(), [task(1)], models)) == made
    assert again.generate_context.asked == 0
    again.ledger.close()


def test_an_item_that_another_step_has_done_is_not_asked_again(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    asyncio.run(run.solve(SAMPLE, [task(1), task(2)], run.models(run.base)))
    asyncio.run(run.solve(SAMPLE, [task(2), task(3)], run.models(run.base)))
    assert run.generate_context.asked == 3
    run.ledger.close()


def test_one_operator_with_other_results_for_the_same_items_is_refused(tmp_path: Path) -> None:
    from instar.refine.filters.per_task_cap import PerTaskCap

    run = run_in(tmp_path, ScriptedEngine())
    attempts = asyncio.run(run.solve(SAMPLE, [task(1), task(2)], run.models(run.base)))
    cap = PerTaskCap(at_most=1)
    asyncio.run(run.keep(cap, attempts[:2]))  # the second is one too many for its task
    with pytest.raises(StepFailed, match="used twice on the same items"):
        asyncio.run(run.keep(cap, [attempts[3], attempts[1]]))  # here it is its task's first
    run.ledger.close()


class Mute(ScriptedEngine):
    """Answers nothing for one policy."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        self.mute = policy

    async def ask(self, policy: Policy, messages: Sequence[Message], **how: object):  # type: ignore[override]
        replies = await super().ask(policy, messages, **how)  # type: ignore[arg-type]
        return [r.model_copy(update={"text": "", "tokens": 0}) for r in replies] if policy.id == self.mute else replies


def test_a_candidate_that_answers_nothing_is_refused_by_the_gate_and_does_not_end_the_run(tmp_path: Path) -> None:
    from instar.acquire.feedback.verify import Verify
    from instar.evaluate.eval import Eval
    from instar.evaluate.gates import PairedGate

    candidate = base_policy("Say nothing.")
    run = run_in(tmp_path, Mute(candidate.id))
    run.ledger.add_records([Made(p, "i1:model", 0, i) for i, p in enumerate((run.base, candidate))])
    exam = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=16)), judge=Verify())
    tasks = [task(i) for i in range(12)]
    kept = asyncio.run(run.promote(PairedGate(), exam, run.base, candidate, tasks))
    assert kept.id == run.base.id
    run.ledger.close()
