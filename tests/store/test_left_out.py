"""A task is left out by hand: with its reason, for every policy, and only while nothing was decided on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.records import Sampling, Task
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run, Sets
from instar.scripted_world import base_policy
from instar.store.ledger import Ledger, Made
from instar.store.left_out import leave_out, left_out, told
from instar.store.verify import verify
from tests.run.test_run import run_in, task

GREEDY = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=32))
EXAM = Eval(solve=GREEDY, judge=Verify())
TASKS = [task(i) for i in range(2, 12)]


def session(folder: Path) -> Run:
    run = run_in(folder, ScriptedEngine())
    made = [Made(t, "i1:t", 0, i) for i, t in enumerate(TASKS)]
    sets = [("train", i, t.id) for i, t in enumerate(TASKS[:4])] + [
        ("sealed", i, t.id) for i, t in enumerate(TASKS[4:])
    ]
    run.ledger.add_sets(made, sets)
    run.ledger.add_records([Made(run.base, "i1:m", 0, 0)])
    return run


def sound(ledger: Ledger) -> None:
    assert [w for w in verify(ledger) if "should be" not in w] == []  # the tests mint their tasks by hand
    ledger.close()


def test_it_is_recorded_with_its_set_and_its_reason(tmp_path: Path) -> None:
    run = session(tmp_path)
    gone = TASKS[5].id
    said = leave_out(run.ledger, gone[:12], "  too\nlong ")
    assert said == f"the task {gone} is left out of the sealed set, for every policy: too long"
    assert told(run.ledger) == [{"task": gone, "set": "sealed", "reason": "left out by hand: too long"}]
    assert "already" in leave_out(run.ledger, gone, "again")
    assert len(left_out(run.ledger)) == 1
    sound(run.ledger)


@pytest.mark.parametrize(
    ("task", "reason", "says"),
    [("i1:nothing", "x", "0 tasks"), ("", "x", "10 tasks"), (TASKS[5].id, "  ", "none is given")],
)
def test_what_names_no_task_or_no_reason_is_refused(tmp_path: Path, task: str, reason: str, says: str) -> None:
    run = session(tmp_path)
    with pytest.raises(ConfigError, match=says):
        leave_out(run.ledger, task, reason)
    run.ledger.close()


def test_a_report_that_counted_it_is_derived_again_without_a_token(tmp_path: Path) -> None:
    run = session(tmp_path)
    before = asyncio.run(run.evaluate(EXAM, run.base, TASKS[4:], suite="sealed"))
    leave_out(run.ledger, TASKS[4].id, "broken")
    run.ledger.close()
    again = run_in(tmp_path, ScriptedEngine())
    after = asyncio.run(again.evaluate(EXAM, again.base, TASKS[5:], suite="sealed"))
    assert again.generate_context.asked == 0
    assert after.outcomes == before.outcomes[1:]
    assert again.ledger.records("report") == [after]  # never two that contradict each other
    sound(again.ledger)


def test_what_something_was_decided_on_stays(tmp_path: Path) -> None:
    run = session(tmp_path)

    async def work() -> None:
        models = run.models(run.base)
        tries = await run.judge(Verify(), await run.solve(GREEDY, TASKS[:4], models), models)
        await run.keep(ScoreAtLeast(), tries)

    asyncio.run(work())
    with pytest.raises(ConfigError, match="a decision was made on it and stands"):
        leave_out(run.ledger, TASKS[0].id, "late")
    candidate = base_policy("Answer.")
    run.ledger.add_records([Made(candidate, "i1:m", 0, 1)])
    asyncio.run(run.promote(PairedGate(), EXAM, run.base, candidate, TASKS[4:]))
    with pytest.raises(ConfigError, match="a verdict was made on it and stands"):
        leave_out(run.ledger, TASKS[4].id, "late")
    assert left_out(run.ledger) == {}
    sound(run.ledger)


def test_the_last_of_a_set_is_not_left_out(tmp_path: Path) -> None:
    run = session(tmp_path)
    for t in TASKS[:3]:
        leave_out(run.ledger, t.id, "broken")
    with pytest.raises(ConfigError, match="the last of the train set"):
        leave_out(run.ledger, TASKS[3].id, "broken")
    sound(run.ledger)


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("gone", [set(), {0}, {4}, {9}, {0, 1, 2}, {3, 4, 9}])
def test_the_others_stay_in_the_rounds_they_were_in(rounds: int, gone: set[int]) -> None:
    whole = Sets(tuple(TASKS), (), (), ())
    out = {TASKS[i].id for i in gone}
    less = whole.without(out)

    def ids(tasks: tuple[Task, ...]) -> list[str]:
        return [t.id for t in tasks]

    for r in range(1, rounds + 1):
        assert ids(less.share("train", r, rounds)) == [i for i in ids(whole.share("train", r, rounds)) if i not in out]
