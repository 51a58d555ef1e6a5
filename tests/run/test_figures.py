"""What an update tells of its training is kept once, is news while it works, and one that learns nothing says why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import NothingLearned
from instar.protocols import RolloutPrompts, Update, UpdateContext
from instar.records import Decision, Experience, Policy, Sampling
from instar.report.facts import facts
from instar.report.page import body
from instar.store.readers import progress
from instar.store.readers.curves import curves, idle, told
from tests.run.test_run import run_in, task

PRACTICE = RolloutPrompts([task(i) for i in range(2, 5)], Sample(samples=2, sampling=Sampling(max_tokens=16)), Verify())


class Tells(Update):
    """Tells two steps and a rollout; makes a policy with another prompt, or learns nothing."""

    name: ClassVar[str] = "test_tells"
    idle: bool = False
    fails: bool = False

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        context.figures("step", 1, {"loss": 1.23456789, "gradient_norm": float("inf"), "odd <b>name</b>": 1.0})
        await asyncio.to_thread(context.figures, "step", 2, {"loss": 0.5, "gradient_norm": float("nan")})
        context.figures("step", 1, {"loss": 99.0})  # told again, as after a kill
        context.figures("rollout", 1, {"reward": 0.25})
        if self.fails:
            raise RuntimeError("killed")
        if self.idle:
            raise NothingLearned("it was all known.")
        return policy.model_copy(update={"system": "Count.", "parent": policy.id, "id": ""}).identified()


def updated(folder: Path, op: Update) -> tuple[Policy, Policy]:
    run = run_in(folder, ScriptedEngine())
    try:
        made = asyncio.run(run.update(op, run.base, (), rollout_prompts=PRACTICE))
        return run.base, made
    finally:
        run.ledger.close()


def test_figures_are_kept_as_they_were_told_first_without_what_is_no_number(tmp_path: Path) -> None:
    base, made = updated(tmp_path, Tells())
    run = run_in(tmp_path, ScriptedEngine())
    (found,) = curves(run.ledger)
    assert found.series == {
        "step": {"loss": [(1, 1.23457), (2, 0.5)], "odd <b>name</b>": [(1, 1.0)]},
        "rollout": {"reward": [(1, 0.25)]},
    }
    assert (found.op, found.policy) == ("test_tells", made.id)
    assert found.ended is not None
    assert made.id != base.id
    assert told(run.ledger) == 3
    assert idle(run.ledger) == []
    run.ledger.close()


def test_an_update_that_did_not_end_has_curves_and_no_policy_and_they_are_news(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    before = progress.revision(run.ledger)
    with pytest.raises(Exception, match="killed"):
        asyncio.run(run.update(Tells(fails=True), run.base, (), rollout_prompts=PRACTICE))
    assert progress.revision(run.ledger) != before
    (found,) = curves(run.ledger)
    assert (found.policy, found.ended) == (None, None)
    assert len(found.series["step"]["loss"]) == 2
    run.ledger.close()


def test_an_update_that_learns_nothing_gives_back_what_it_was_handed_and_the_reason_is_recorded(
    tmp_path: Path,
) -> None:
    base, made = updated(tmp_path, Tells(idle=True))
    assert made.id == base.id
    base, again = updated(tmp_path, Tells(idle=True))  # replayed
    assert again.id == base.id
    run = run_in(tmp_path, ScriptedEngine())
    (decision,) = [r for r in run.ledger.records("decision") if isinstance(r, Decision)]
    assert (decision.item, decision.kept, decision.reason) == (base.id, False, "it was all known.")
    (said,) = idle(run.ledger)
    assert (said.op, said.reason) == ("test_tells", "it was all known.")
    other = RolloutPrompts(
        PRACTICE.tasks[:2], PRACTICE.solve, PRACTICE.judge
    )  # the same operator again, in the same round
    asyncio.run(run.update(Tells(idle=True), run.base, (), rollout_prompts=other))
    assert len(idle(run.ledger)) == 2
    assert run.ledger.records("policy") == []  # the base is none of its making
    run.ledger.close()
    page = body(facts(tmp_path))
    assert "it was all known." in page
    assert "odd &lt;b&gt;name&lt;/b&gt;" in page
    assert "odd <b>" not in page
