"""The brake: two planted collapses hold a run, healthy ones go through, and each way to go on does what it says."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from instar.acquire.replay import Mixed
from instar.acquire.solutions.sample import Sample
from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, RunHeld
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.recipes.full_loop import WARM
from instar.recipes.rest_em import RestEM, rest_em
from instar.records import Alarm, Decision, Health, Message, Policy, Reply, Vitals
from instar.run.braking import BRAKE, Action, Brake
from instar.run.generate import GenerateContext
from instar.run.run import Run
from instar.store.verify import verify
from instar.update.weights.dpo import Dpo
from instar.update.weights.sft import SFT
from tests.recipes.test_full_loop import Quick, new_run
from tests.run.test_run import SAMPLE, run_in, stored, task

ROUNDS = 4
CFG = RestEM(
    rounds=ROUNDS,
    solve=Sample(samples=4, sampling=WARM),
    judge=Quick(),
    keep=(),
    train=SFT(epochs=1),
    gate=PairedGate(guarded=()),
    exam=Eval(solve=Sample(samples=1, sampling=WARM.model_copy(update={"temperature": 0.0})), judge=Quick()),
)


class Collapses(ScriptedEngine):
    """A world in which the answers of two rounds are longer and longer, or more and more alike."""

    def __init__(self, how: str, rounds: dict[str, int]) -> None:
        super().__init__()
        self.how, self.rounds = how, rounds

    async def ask(self, policy: Policy, messages: Sequence[Message], **how: object):  # type: ignore[override]
        replies: list[Reply] = await super().ask(policy, messages, **how)  # type: ignore[arg-type]
        depth = self.rounds.get(messages[-1].content, 0)
        if not depth:
            return replies
        if self.how == "longer":
            more = 4 * depth**2
            return [r.model_copy(update={"text": "so " * more + r.text, "tokens": r.tokens + more}) for r in replies]
        return [r if i < 3 - depth else r.model_copy(update={"text": "It is 7"}) for i, r in enumerate(replies)]


def opened(folder: Path, how: str, action: Action = "stop", *, seed: int = 1, first: int = 2, of: int = ROUNDS) -> Run:
    """A run whose answers collapse in the round ``first`` and the one after it."""
    few = how != "healthy"  # a collapse is plain in few answers; that there is none takes more
    run = new_run(folder, train=(5 if few else 10) * of, dev=0)
    run.tasks = replace(run.tasks, gate=run.tasks.gate[: 40 if few else 80])
    if how != "healthy":
        rounds = {t.question: depth for depth in (1, 2) for t in run.tasks.share("train", first + depth - 1, of)}
        run.engine = Collapses(how, rounds)
        run.generate_context = GenerateContext(run.engine, run.ledger, run.budget_tracker, asyncio.Event())
    run.seed, run.brake = seed, Brake(action)
    return run


def holds(run: Run) -> list[Decision]:
    return [d for d in run.ledger.records("decision") if isinstance(d, Decision) and d.item.startswith("rounds ")]


def sampled_in(run: Run, round: int) -> set[str]:
    rows = run.ledger.rows("records")
    return {json.loads(r["body"])["policy"] for r in rows if r["kind"] == "solution" and r["round"] == round}


@pytest.fixture(scope="module", params=["longer", "alike"])
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Run, RunHeld]:
    """Which collapse, the run that it held, and what the brake said."""
    run = opened(tmp_path_factory.mktemp("held"), request.param)
    with pytest.raises(RunHeld) as said:
        asyncio.run(rest_em(run, CFG))
    return request.param, run, said.value


def test_a_planted_collapse_holds_the_run_after_its_second_round_on_record(held: tuple[str, Run, RunHeld]) -> None:
    how, run, said = held
    assert ("length_drifting" if how == "longer" else "diversity_falling") in said.message
    assert "brake=earlier" in said.hint
    (decision,) = holds(run)
    assert not decision.kept
    assert run.round == 3
    assert [any(a.raised for a in h.alarms) for h in run.healths[-2:]] == [True, True]
    assert verify(run.ledger) == []


def test_going_on_from_the_earlier_policy_leaves_what_those_rounds_kept_out_of_all_training(tmp_path: Path) -> None:
    run = opened(tmp_path, "longer", "earlier")
    asyncio.run(rest_em(run, CFG))
    first, *_ = holds(run)
    assert first.kept
    assert "goes on from policy" in first.reason
    assert first.item == "rounds 2 and 3"
    aside = run.brake.aside
    assert aside
    assert aside < set(run.ledger.parents([first.id])[first.id])
    healths = [h for h in run.ledger.records("health") if isinstance(h, Health)]
    assert sampled_in(run, 4) == {healths[0].policy} == {run.base.id}
    for r in run.ledger.records("policy"):
        if run.ledger.provenance(r.id)["round"] > 3:
            assert not aside & set(run.ledger.parents([r.id])[r.id])
    assert verify(run.ledger) == []


@pytest.mark.parametrize("held", ["longer"], indirect=True)
def test_a_resumed_run_does_what_was_decided_and_one_that_was_stopped_takes_the_new_word(
    held: tuple[str, Run, RunHeld], tmp_path: Path
) -> None:
    shutil.copytree(held[1].folder, tmp_path / "again")
    for action in ("fresh", "off"):  # off is asked for last, and fresh was decided
        run = opened(tmp_path / "again", "longer", action)  # type: ignore[arg-type]
        asyncio.run(rest_em(run, CFG))
        assert run.brake.aside
        assert run.brake.instead == {}
        assert [d.kept for d in holds(run)][:2] == [False, True]
        run.ledger.close()


def test_a_run_of_before_there_was_a_brake_goes_on_past_its_alarms(tmp_path: Path) -> None:
    run = opened(tmp_path, "longer", "off")
    asyncio.run(rest_em(run, CFG))
    said = holds(run)
    assert said
    assert all("brake is off" in d.reason for d in said)
    assert run.brake.aside == set()
    run.ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:  # as if nobody had looked
        for table in ("records", "ops"):
            db.execute(f"delete from {table} where {'op' if table == 'records' else 'id'} = ?", [BRAKE])
    again = opened(tmp_path, "longer", "stop")
    asyncio.run(rest_em(again, CFG))
    assert again.generate_context.asked == 0
    assert holds(again) == []
    again.ledger.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.nightly) for s in range(1, 10))])
def test_a_healthy_run_is_not_held(tmp_path: Path, seed: int) -> None:
    run = opened(tmp_path, "healthy", seed=seed)
    asyncio.run(rest_em(run, CFG))
    assert run.round > ROUNDS
    assert holds(run) == []


def test_the_brake_is_a_setting_that_a_resumed_run_may_change_and_no_part_of_what_a_run_is() -> None:
    usual = plan(read("rest_em", ("model=scripted",)))
    changed = plan(read("rest_em", ("model=scripted", "brake=earlier")))
    assert "brake" not in usual.resolved()
    assert changed.resolved()["brake"] == "earlier"
    assert usual.digest() == changed.digest()
    with pytest.raises(ConfigError, match="brake"):
        plan(read("rest_em", ("brake=later",)))


def test_replay_learns_again_what_was_learned_before_the_held_rounds(tmp_path: Path) -> None:
    run = opened(tmp_path, "alike", "replay", first=3, of=5)
    run.brake.replay = Mixed(ratio=0.5)

    async def work() -> list[Policy]:
        made = [run.base]
        for _ in run.rounds(5):
            models = run.models(made[-1])
            attempts = await run.judge(CFG.judge, await run.solve(CFG.solve, run.train_tasks(), models), models)
            kept = await run.keep(CFG.right, attempts)
            made.append(await run.update(CFG.train, made[-1], kept))
            await run.health(CFG.watch, attempts, kept)
        return made

    made = asyncio.run(work())
    (first, *_) = holds(run)
    assert "learns again some of what" in first.reason
    assert run.brake.past is not None
    assert run.brake.past.id == made[1].id
    answers = {s.id for s in run.ledger.records("solution")}
    learned = [set(run.ledger.parents([p.id])[p.id]) & answers for p in made]
    assert learned[5] & learned[1]
    assert not learned[4] & learned[1]
    assert not learned[5] & run.brake.aside
    assert verify(run.ledger) == []


def looked(run: Run, action: Action, rounds: int = 4, **known: bool) -> Run:
    """The same run after its brake has looked at so many rounds, all with an alarm."""
    run.brake, run.healths = Brake(action, **known), []
    alarm = Alarm(name="planted", raised=True, reason="planted")
    for run.round in range(1, rounds + 1):
        health = Health(id=f"i1:{run.round}", policy=f"p{run.round}", train=Vitals(n=1), kept=1, alarms=(alarm,))
        run.healths = run.brake.look(run._steps, [*run.healths, health], [], 9)
    return run


def test_of_an_older_run_only_the_round_that_was_held_is_acted_on_at_each_resume(tmp_path: Path) -> None:
    run = stored(run_in(tmp_path, ScriptedEngine()), [task(1)])
    for run.round in range(1, 5):  # it went past its alarms before there was a brake
        asyncio.run(run.solve(SAMPLE, [task(1)], run.models(run.base)))
    with pytest.raises(RunHeld, match="round 4 is held"):
        looked(run, "stop")
    assert looked(run, "earlier").brake.since == 4
    assert looked(run, "off").brake.instead, "what was decided stands"
    assert {run.ledger.provenance(d.id)["round"] for d in holds(run)} == {4}


def test_a_recipe_that_trains_on_pairs_is_told_that_nothing_is_learned_again(tmp_path: Path) -> None:
    run = stored(run_in(tmp_path, ScriptedEngine()), [])
    run.round = run.last_round = 1
    asyncio.run(run.update(Dpo(), run.base, (), pairs=()))
    assert run.brake.paired
    assert looked(run, "replay", 2, paired=True).brake.past is None
    (decision,) = holds(run)
    assert decision.reason.endswith("it trains on pairs, so nothing is learned again.")


def test_all_that_sampled_in_held_rounds_are_stood_for_also_after_a_second_hold(tmp_path: Path) -> None:
    run = stored(run_in(tmp_path, ScriptedEngine()), [])
    a, b, c = (run.base.model_copy(update={"system": s}).identified() for s in "abc")
    brake = Brake(instead={a.id: b})
    assert brake.stands_for(a) == b
    brake.instead[b.id] = c
    assert brake.stands_for(a) == c
    brake.promoted(b)
    assert brake.stands_for(a) == b
    assert set(looked(run, "earlier", 2).brake.instead) == {"p1", "p2"}
