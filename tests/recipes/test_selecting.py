"""The full loop with a ladder of objectives and selections of tasks, on the scripted model: a mastered step opens the
next, what can be learned from is taken again, ``why`` says so, and a kill changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from instar.acquire.tasks.by_learnability import ByLearnability
from instar.objective.ladder import Ladder
from instar.recipes.full_loop import full_loop
from instar.records import Decision, Policy, Report
from instar.report.why import why
from instar.run.run import Run
from instar.store.verify import verify
from tests.recipes.test_full_loop import CFG, new_run, objectives, play

SKILLS = {"add": 0.6, "subtract": 0.6, "mixed": 0.3, "multiply": 0.4, "other": 0.0}
CLIMB = CFG.model_copy(
    update={
        "choose": Ladder(mastered=0.68),
        "propose": ByLearnability(again=True),
        "per_round": 40,
        "rounds": 2,
    }
)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Policy]:
    return play(tmp_path_factory.mktemp("climbed"), CLIMB, train=20, dev=12, skills=SKILLS)


def taken(loop: Run) -> dict[int, list[Decision]]:
    """Round to the decisions that took a task."""
    out: dict[int, list[Decision]] = {}
    train = {t.id for t in loop.tasks.train}
    for d in loop.ledger.records("decision"):
        if isinstance(d, Decision) and d.item in train:
            out.setdefault(loop.ledger.provenance(d.id)["round"], []).append(d)
    return out


def test_a_mastered_step_opens_the_next(climbed: tuple[Run, Policy]) -> None:
    by_round = objectives(climbed[0])
    first, last = by_round[1], by_round[max(by_round)]
    assert first["sum/easy"].tasks > 0
    assert first["sum/hard"].tasks == 0
    assert "closed until sum/easy" in first["sum/hard"].reason
    assert last["sum/hard"].tasks > 0
    assert "open, since sum/easy was mastered" in last["sum/hard"].reason


def test_each_round_spends_its_budget_as_the_objectives_split_it_and_takes_some_again(
    climbed: tuple[Run, Policy],
) -> None:
    loop, by_round = climbed[0], taken(climbed[0])
    of = {t.id: t.ability for t in loop.tasks.train}
    for number, own in by_round.items():
        wanted = {a: o.tasks for a, o in objectives(loop)[number].items() if o.tasks and a in of.values()}
        assert Counter(of[d.item] for d in own) == wanted
        assert len(own) == 40
    assert {d.item for d in by_round[1]} & {d.item for d in by_round[2]}


def test_why_says_why_this_task_in_each_round_that_took_it(climbed: tuple[Run, Policy]) -> None:
    loop = climbed[0]
    twice = next(t for t, n in Counter(d.item for own in taken(loop).values() for d in own).items() if n > 1)
    told = [s for s in why(loop.folder, twice)["sentences"] if s.startswith("In round")]
    assert len(told) >= 2
    assert "selected for the objective" in told[0]
    assert "This one: " in told[1]
    assert "answers right, older ones counting less: learnability" in " ".join(told) or "by lot" in " ".join(told)


def test_stopped_in_the_second_round_and_begun_again_it_ends_the_same(
    climbed: tuple[Run, Policy], tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    loop = new_run(tmp_path, train=20, dev=12, skills=SKILLS)
    propose = loop.propose

    async def until_the_second(*given: object) -> object:
        found = await propose(*given)  # type: ignore[arg-type]  # whatever the recipe gives
        if loop.round == 2:
            raise Stopped
        return found

    loop.propose = until_the_second  # type: ignore[method-assign, assignment]  # stands in for a kill
    with pytest.raises(Stopped):
        asyncio.run(full_loop(loop, CLIMB))
    loop.ledger.close()
    again = new_run(tmp_path, train=20, dev=12, skills=SKILLS)
    final = asyncio.run(full_loop(again, CLIMB))
    assert final.id == climbed[1].id
    assert again.ledger.content_digest() == climbed[0].ledger.content_digest()
    assert verify(again.ledger) == []


def test_the_gate_is_asked_its_own_random_share_whatever_was_selected(climbed: tuple[Run, Policy]) -> None:
    loop = climbed[0]
    asked = [tuple(o.task for o in r.outcomes) for r in gated(loop)]
    shares = [tuple(t.id for t in loop.tasks.share("gate", n, CLIMB.rounds)) for n in (1, 2)]
    assert Counter(asked) == dict.fromkeys(shares, 2)  # paired: the incumbent's and the candidate's, in the same order


def gated(loop: Run) -> list[Report]:
    return [r for r in loop.ledger.records("report") if isinstance(r, Report) and r.exam.suite == "gate"]
