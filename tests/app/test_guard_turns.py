"""What guards take of a round is said before it begins; where it is more than 15 %, they take turns, whole ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from instar.app.configs.config import plan
from instar.app.preflight.guards import MOST, turns
from instar.engines.scripted.engine import ScriptedEngine
from instar.evaluate.budget import ForgettingBudget
from instar.records import Policy, Report, Task
from instar.run.run import Run
from instar.run.sets import Sets
from instar.scripted_world import START, weights_of
from instar.store.ledger import Made
from tests.app.test_guards import EXAM, Always
from tests.run.test_run import run_in, stored, task

NAMES = ("guard:facts", "guard:simple", "guard:arithmetic")


def made(rounds: int = 3, train: int = 400, names: tuple[str, ...] = NAMES) -> Any:
    config = {"recipe": "rest_em", "model": "scripted", "rounds": rounds, "sizes": {"train": train, "gate": 40}}
    return plan({**config, "suites": dict.fromkeys(names, "bundled")})


def of(items: int, names: tuple[str, ...] = NAMES) -> dict[str, list[Task]]:
    return {name: [task(0)] * items for name in names}


def test_guards_that_take_little_are_all_asked_in_every_round() -> None:
    found = turns(made(), of(60))
    assert found is not None
    assert found.share < MOST
    assert found.by_round == {}
    assert found.sentence.startswith("the guards (guard:facts, guard:simple, guard:arithmetic) take about ")
    assert found.sentence.endswith(" % of a round, of at most 15 %.")


def test_guards_that_take_more_take_turns_and_each_has_as_many_as_the_others() -> None:
    found = turns(made(train=12), of(300))
    assert found is not None
    assert found.share > MOST
    assert found.by_round == {1: ["guard:facts"], 2: ["guard:simple"], 3: ["guard:arithmetic"]}
    assert "they take turns, whole ones: round 1 guard:facts; round 2 guard:simple" in found.sentence
    assert turns(made(train=12), of(300)) == found
    many = turns(made(rounds=6), of(300))
    assert many is not None
    asked = [name for names in many.by_round.values() for name in names]
    counts = {asked.count(name) for name in NAMES}
    assert max(counts) - min(counts) <= 1


def test_one_guard_alone_stays_whole_and_that_it_takes_more_is_said() -> None:
    alone = NAMES[:1]
    found = turns(made(train=12, names=alone), of(900, alone))
    assert found is not None
    assert found.by_round == {}
    assert "more than 15 %: give it fewer items" in found.sentence
    assert turns(made(names=()), {}) is None


def test_a_candidate_is_examined_on_the_guards_whose_turn_it_is_each_time_on_the_other_half(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    run.base = Policy(weights=weights_of({**START, "add": 0.9})).identified()
    guards = {name: tuple(task(100 * n + i) for i in range(9)) for n, name in enumerate(("guard:a", "guard:b"))}
    gate = [task(i) for i in range(500, 503)]
    stored(run, [*guards["guard:a"], *guards["guard:b"], *gate])
    run.tasks = Sets((), (), tuple(gate), (), suites=guards)
    run.budgets = {name: (ForgettingBudget(margin=0.9), EXAM) for name in guards}
    run.turns = {1: ["guard:a"], 2: ["guard:b"], 3: ["guard:a"]}

    async def work() -> None:
        policy = run.base
        for run.round, skill in ((1, 0.91), (2, 0.92), (3, 0.93)):
            policy = await run.promote(Always(), EXAM, policy, _with(run, skill), run.tasks.gate)

    asyncio.run(work())
    reports = [r for r in run.ledger.records("report") if isinstance(r, Report) and r.policy != run.base.id]
    asked = {name: [r for r in reports if r.exam.suite == name] for name in guards}
    assert [len(own) for own in asked.values()] == [2, 1]
    first, third = ({o.task for o in r.outcomes} for r in asked["guard:a"])
    assert not first & third
    run.ledger.close()


def _with(run: Run, skill: float) -> Policy:
    made = Policy(weights=weights_of({**START, "add": skill}), parent=run.base.id).identified()
    run.ledger.add_records([Made(made, "i1:made", run.round, 0, (run.base.id,))])
    return made
