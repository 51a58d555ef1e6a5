"""Promotion by a gate that stops early: no model is asked once it has decided, after a kill neither."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StepFailed, StoreError
from instar.evaluate.eval import Eval
from instar.evaluate.sequential import SequentialGate
from instar.records import Message, Policy, Sampling, Task, Verdict
from instar.run.run import Run
from instar.scripted_world import base_policy, weights_of
from instar.store.ledger import Made
from tests.run.test_run import run_in, stored, task

EXAM = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=16)), judge=Verify())
TASKS = [task(i) for i in range(150)]
BETTER = base_policy("Well.").model_copy(update={"weights": weights_of({"add": 0.6})}).identified()


class Dies(ScriptedEngine):
    """Pulls the plug at one ask."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    async def ask(self, policy: Policy, messages: Sequence[Message], **how: object):  # type: ignore[override]
        self.left -= 1
        if not self.left:
            raise StoreError("pulled the plug")
        return await super().ask(policy, messages, **how)  # type: ignore[arg-type]


def opened(folder: Path, engine: ScriptedEngine | None = None) -> Run:
    folder.mkdir(exist_ok=True)
    run = stored(run_in(folder, engine or ScriptedEngine()), TASKS)
    run.ledger.add_records([Made(BETTER, "i1:model", 0, 1)])
    run.round, run.last_round = 1, 2
    return run


def promoted(run: Run, tasks: Sequence[Task] = TASKS, candidate: Policy = BETTER) -> Policy:
    return asyncio.run(run.promote(SequentialGate(guarded=()), EXAM, run.base, candidate, tasks))


def test_it_asks_two_policies_until_it_is_sure_and_no_more(tmp_path: Path) -> None:
    run = opened(tmp_path)
    assert promoted(run).id == BETTER.id
    (verdict,) = run.ledger.records("verdict")
    assert isinstance(verdict, Verdict)
    examined = verdict.checks[0].numbers["n"]
    assert 25 < examined < 100
    assert run.generate_context.asked == 2 * examined
    run.ledger.close()


def test_killed_at_any_moment_it_ends_with_the_same_ledger_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = opened(tmp_path / "whole")
    promoted(whole)
    for at in (3, 40, 70):
        with pytest.raises(StoreError, match="pulled the plug"):
            promoted(died := opened(tmp_path / str(at), Dies(at)))
        died.ledger.close()
        again = opened(tmp_path / str(at))
        assert promoted(again).id == BETTER.id
        assert again.ledger.content_digest() == whole.ledger.content_digest()
        assert again.generate_context.asked <= whole.generate_context.asked - at + again.engine.concurrency
        again.ledger.close()
    whole.ledger.close()


def test_a_second_candidate_in_a_round_and_items_of_another_round_are_refused(tmp_path: Path) -> None:
    run = opened(tmp_path)
    promoted(run, TASKS[:140])
    with pytest.raises(StepFailed, match="round 1 already") as refused:
        promoted(run, TASKS[140:], base_policy("Other."))
    assert "let dev choose one" in refused.value.hint
    run.round = 2
    with pytest.raises(StepFailed, match="140 of 150 gate items were used in round 1"):
        promoted(run)
    run.ledger.close()


def test_too_few_items_are_decided_by_the_fixed_test_on_all_of_them(tmp_path: Path) -> None:
    run = opened(tmp_path)
    promoted(run, TASKS[:40])
    assert run.generate_context.asked == 80
    assert {o["name"] for o in run.ledger.ops().values()} >= {"paired_gate"}
    run.ledger.close()
