"""RFT on the scripted model: it improves, not with an inverted filter, and a kill changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.records import Solution
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run

SETS = ("rounds=1", "sizes.train=50", "sizes.gate=60", "sizes.sealed=40", "train.epochs=6")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="rft")


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert undisturbed["rounds"][0]["gate"]["promoted"]


def test_it_fails_to_improve_when_its_filter_is_inverted(runs: Path) -> None:
    inverted = run(runs, "inverted", *SETS, 'right={op="not", inner="score_at_least"}', recipe="rft")
    assert inverted["sealed"]["gain"] <= 0
    assert not inverted["rounds"][0]["gate"]["promoted"]


def test_one_path_a_task_is_trained_on_where_no_calculation_is_shown(runs: Path, undisturbed: dict) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    parents = set(ledger.parents([undisturbed["final"]])[undisturbed["final"]])
    used = [s.task for s in ledger.records("solution") if isinstance(s, Solution) and s.id in parents]
    assert len(used) == len(set(used)) > 20
    ledger.close()


def test_a_second_round_is_refused_before_anything_runs(runs: Path) -> None:
    refused = run(runs, "two", "rounds=2", recipe="rft", check=False)
    assert refused["code"] == 2
    assert "rounds" in refused["error"]


@pytest.mark.slow
def test_it_stops_asking_for_a_task_that_has_enough_right_answers(runs: Path, undisturbed: dict) -> None:
    adaptive = 'attempt={op="adaptive", batch=4, most=16, stop_after_right=4}'
    found = run(runs, "adaptive", *SETS, adaptive, recipe="rft")
    assert found["sealed"]["gain"] > 0
    assert found["rounds"][0]["solutions"] < undisturbed["rounds"][0]["solutions"]


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, "rft", SETS, undisturbed, at=(100, 810))
