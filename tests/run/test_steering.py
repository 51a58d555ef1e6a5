"""The verbs that steer: a tree of objectives is recorded whole or refused, and a proposal takes only what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.verify import Verify
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import DataError, StepFailed
from instar.protocols import Choose, Filter, Models, Propose, RolloutPrompts
from instar.records import Decision, Exam, Experience, Objective, Report, Task
from instar.run.run import Run, Sets
from instar.update.weights.sft import SFT
from tests.run.test_run import SAMPLE, run_in, stored, task


class Told(Choose):
    """Gives the tree it is told."""

    name: ClassVar[str] = "told_tree"
    tree: tuple[tuple[str, str | None], ...] = ()
    expires: int | None = None

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        return [Objective(ability=a, parent=p, tasks=2, expires=self.expires, reason="told") for a, p in self.tree]


class Takes(Propose):
    """Takes the tasks at these places of the pool; -1 makes one up."""

    name: ClassVar[str] = "takes"
    places: tuple[int, ...] = ()

    async def __call__(self, objectives: Sequence[Objective], pool: Sequence[Task], models: Models) -> Sequence[Task]:
        return [task(99) if i < 0 else pool[i] for i in self.places]


GOOD = (("*", None), ("add", "*"))
POOL = [task(i) for i in range(4)]


def opened(folder: Path) -> Run:
    run = stored(run_in(folder, ScriptedEngine()), POOL)
    run.round = 1
    return run


def test_parents_become_the_ids_of_the_records_and_a_second_session_finds_the_same(tmp_path: Path) -> None:
    tree = (*GOOD, ("add/two", "add"))
    first = asyncio.run(opened(tmp_path).choose(Told(tree=tree), [], 0, 2))
    again = asyncio.run(opened(tmp_path).choose(Told(tree=tree), [], 0, 2))
    assert first == again
    assert [o.parent for o in first] == [None, first[0].id, first[1].id]


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ((), "gave no objective"),
        ((("*", None), ("*", None)), "twice"),
        ((("*", None), ("add/two", "add"), ("add", "*")), "before its parent 'add'"),
        ((("*", None), ("add", None)), "before its parent None"),
        ((("add", "*"),), "before its parent"),
    ],
)
def test_a_tree_that_is_empty_doubled_or_without_its_parents_is_refused(
    tmp_path: Path, tree: tuple[tuple[str, str | None], ...], said: str
) -> None:
    with pytest.raises(StepFailed, match=said):
        asyncio.run(opened(tmp_path).choose(Told(tree=tree), [], 0, 2))


def test_a_selection_is_recorded_with_the_objective_it_serves(tmp_path: Path) -> None:
    run = opened(tmp_path)

    async def work() -> tuple[list[Objective], list[Task]]:
        goals = await run.choose(Told(tree=GOOD), [], 0, 2)
        return goals, await run.propose(Takes(places=(2, 0)), goals, POOL)

    goals, taken = asyncio.run(work())
    assert [t.id for t in taken] == [POOL[2].id, POOL[0].id]
    decisions = [d for d in run.ledger.records("decision") if isinstance(d, Decision)]
    assert {d.item for d in decisions} == {POOL[0].id, POOL[2].id}
    assert all(goals[1].id in run.ledger.parents([d.id])[d.id] for d in decisions)
    assert run.ledger.parents([POOL[0].id])[POOL[0].id] == []  # decided by an objective, never made from one
    assert len(run.ledger.parents([POOL[0].id], "decided_by")[POOL[0].id]) == 1


@pytest.mark.parametrize(
    ("places", "expires", "error", "said"),
    [
        ((-1,), None, StepFailed, "not in the pool"),
        ((), None, DataError, "no task left"),
        ((0,), 0, StepFailed, "lapsed after round 0"),
        ((1, 1), None, StepFailed, "twice"),
    ],
)
def test_tasks_made_up_taken_twice_or_for_a_lapsed_objective_are_refused(
    tmp_path: Path, places: tuple[int, ...], expires: int | None, error: type[Exception], said: str
) -> None:
    run = opened(tmp_path)

    async def work() -> None:
        goals = await run.choose(Told(tree=GOOD, expires=expires), [], 0, 2)
        await run.propose(Takes(places=places), goals, POOL)

    with pytest.raises(error, match=said):
        asyncio.run(work())


# --- suites: nothing that steers or learns sees them ------------------------------------------------------------------


class AsItIs(Filter):
    """Keeps everything."""

    name: ClassVar[str] = "as_it_is"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [Decision(item=e.id, kept=True, reason="") for e in items]


def _with_a_suite(folder: Path, name: str) -> Run:
    run = opened(folder)
    run.tasks = Sets((), (), (), (), suites={name: (POOL[0],)})
    return run


@pytest.mark.parametrize("name", ["guard:sums", "attack:sums"])
@pytest.mark.parametrize("verb", ["choose", "propose", "keep", "update", "practise"])
def test_a_suite_reaches_no_objective_proposal_filter_or_update(tmp_path: Path, name: str, verb: str) -> None:
    run = _with_a_suite(tmp_path, name)
    exam = Exam(suite=name, solve="i1:s", judge="i1:j", engine="scripted", precision="exact", items="i1:i", n=1)
    report = Report(policy=run.base.id, exam=exam, outcomes=(), metrics={})

    async def work() -> None:
        if verb == "choose":
            await run.choose(Told(tree=GOOD), [report], 0, 2)
        elif verb == "propose":
            await run.propose(Takes(places=(1,)), [Objective(ability="add", tasks=2)], POOL)
        else:
            attempts = await run.solve(SAMPLE, POOL[:2], run.models(run.base))
            if verb == "keep":
                await run.keep(AsItIs(), attempts)
            elif verb == "update":
                await run.update(SFT(), run.base, attempts)
            else:
                await run.update(SFT(), run.base, (), rollout_prompts=RolloutPrompts(POOL[:2], SAMPLE, Verify()))

    with pytest.raises(StepFailed, match=f"was handed the suite {name}: suites are examined at the end"):
        asyncio.run(work())


def test_tasks_beside_a_suite_are_proposed_and_kept_as_ever(tmp_path: Path) -> None:
    run = _with_a_suite(tmp_path, "guard:sums")

    async def work() -> int:
        goals = await run.choose(Told(tree=GOOD), [], 0, 2)
        await run.propose(Takes(places=(0,)), goals, POOL[1:])
        return len(await run.keep(AsItIs(), await run.solve(SAMPLE, POOL[1:], run.models(run.base))))

    assert asyncio.run(work()) == 3 * SAMPLE.samples


def test_a_task_that_is_left_out_is_out_of_its_suite_too() -> None:
    sets = Sets(tuple(POOL[:2]), (), (), (), suites={"guard:sums": tuple(POOL[2:])})
    kept = sets.without({POOL[3].id})
    assert kept.suites == {"guard:sums": (POOL[2],)}
    assert kept.train == tuple(POOL[:2])
