"""SPIN and Self-Rewarding on the scripted model: they improve, pairs are what they say, a kill changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.recipes.self_rewarding import order_accuracy
from instar.records import Mark, Preference, Solution
from instar.records.pair import GOLD, Why
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run
from tests.refine.test_pairs import said
from tests.update.tiny import pair

SETS = ("rounds=2", "sizes.train=40", "sizes.gate=40", "sizes.sealed=40", "train.epochs=6")
RECIPES = {"spin": (Why.gold, 50), "self_rewarding": (Why.order, 90)}


@pytest.fixture(scope="module", params=list(RECIPES))
def recipe(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Path:
    return tmp_path_factory.mktemp(recipe) / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path, recipe: str) -> dict:
    return run(runs, "undisturbed", *SETS, recipe=recipe)


def test_it_improves_on_tasks_it_never_saw_and_says_why_its_pairs_are_pairs(
    runs: Path, recipe: str, undisturbed: dict
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    pairs = [p for p in ledger.records("preference") if isinstance(p, Preference)]
    assert {p.why for p in pairs} == {RECIPES[recipe][0]}
    assert len(pairs) > 20
    solutions = {s.id: s for s in ledger.records("solution") if isinstance(s, Solution)}
    given = {p.chosen for p in pairs if GOLD in solutions[p.chosen].flags}
    assert given == ({p.chosen for p in pairs} if recipe == "spin" else set())
    updates = sorted(roles_of(ledger).updates.values(), key=lambda u: u.round)
    assert not {id for u in updates for id in u.solutions} & {id for u in updates for id in u.away}
    if recipe == "spin":  # the second round learns from the pairs of both
        assert len(updates[1].away) == len(pairs) > len(updates[0].away)
    ledger.close()


def test_a_killed_run_ends_as_if_nothing_was(runs: Path, recipe: str, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, recipe, SETS, undisturbed, at=(RECIPES[recipe][1],))


def test_how_often_the_judges_order_is_golds_is_said_of_what_gold_can_tell_apart() -> None:
    right, wrong, other = said("2", Mark.right, index=0), said("3", Mark.wrong, index=1), said("4", Mark.wrong, index=2)
    judged = [
        said(t, Mark.wrong, index=i, score=s, source="judge")
        for i, (t, s) in enumerate(zip("234", (1, 0, 0), strict=True))
    ]
    pairs = [pair(judged[0], judged[1], Why.order), pair(judged[2], judged[1], Why.order)]
    assert order_accuracy([right, wrong, other], pairs).endswith("100.0% as gold has it (1 of 1 that gold tells apart)")
    assert order_accuracy([], pairs).endswith("gold tells none of them apart")
