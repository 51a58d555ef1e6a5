"""DPO on the scripted model: it improves, its pairs say why, and a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.records import Preference
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import instar, run

SETS = ("rounds=1", "sizes.train=40", "sizes.gate=60", "sizes.sealed=40", "train.epochs=4")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="dpo")


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert undisturbed["rounds"][0]["gate"]["promoted"]


def test_each_pair_says_why_it_is_one_and_rejected_answers_are_learned_away_and_never_replayed(
    runs: Path, undisturbed: dict
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    pairs = [p for p in ledger.records("preference") if isinstance(p, Preference)]
    assert len(pairs) > 40
    update = roles_of(ledger).updates[undisturbed["final"]]
    assert set(update.solutions) == {p.chosen for p in pairs}
    assert set(update.away) == {p.rejected for p in pairs}
    parents = set(ledger.parents([undisturbed["final"]])[undisturbed["final"]])
    assert {p.id for p in pairs} <= parents
    ledger.close()
    said = {
        id: " ".join(json.loads(instar("why", "--run", "undisturbed", id, "--json", runs=runs).stdout)["sentences"])
        for id in (pairs[0].id, pairs[0].rejected)
    }
    assert "(contrastive)" in said[pairs[0].id]
    assert "own right answer beside own wrong one" in said[pairs[0].id]
    assert f"less good than {pairs[0].chosen}" in said[pairs[0].rejected]
    assert "away from it" in said[pairs[0].rejected]


def test_a_killed_run_ends_as_if_nothing_was(runs: Path, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, "dpo", SETS, undisturbed, at=(60,))


def test_from_rest_em_its_first_round_trains_on_right_answers_alone(runs: Path) -> None:
    two = (*SETS, "rounds=2", "sizes.train=60", 'start="rest_em"')
    found = run(runs, "from_rest_em", *two, recipe="dpo")
    assert found["sealed"]["gain"] > 0
    ledger = Ledger.read(runs / "from_rest_em" / "ledger.db")
    ops = {u.round: (u.op, bool(u.away)) for u in roles_of(ledger).updates.values()}
    assert ops == {1: ("sft", False), 2: ("dpo", True)}
    ledger.close()
    refused = run(runs, "short", *SETS, 'start="rest_em"', recipe="dpo", check=False)
    assert refused["code"] == 2
    assert "set rounds = 2" in refused["error"]
