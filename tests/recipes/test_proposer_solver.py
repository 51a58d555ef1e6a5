"""Zero data on the scripted model: it improves on what it made itself, and a kill changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.made import HELD_OUT, Quality, fallen
from instar.records import Policy, Task
from instar.report.facts import facts
from instar.report.page import report
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import instar, run

SETS = (
    'tasks.families={chain_sum={min_terms=2,max_terms=2,max_digits=2},products={max_terms=2,max_digits=2}}',
    "rounds=2", "sizes.train=1", "sizes.gate=60", "sizes.sealed=60", "made_a_round=60", "train.epochs=3",
    "create.audit=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", *SETS, recipe="proposer_solver")


def test_it_improves_on_sealed_tasks_without_a_single_training_task(runs: Path, undisturbed: dict[str, Any]) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    final = next(r for r in ledger.records("policy") if r.id == undisturbed["final"])
    assert isinstance(final, Policy)
    reached, sets = ledger.ancestors(final.id), ledger.sets()
    assert not reached & {t for own in sets.values() for t in own}
    made = [t for t in ledger.records("task") if isinstance(t, Task) and t.source.startswith("proposer/")]
    assert {t.id for t in made} & reached
    ledger.close()


def test_the_quality_of_what_was_made_is_in_show_json_and_report(runs: Path, undisturbed: dict[str, Any]) -> None:
    for r in undisturbed["rounds"]:
        (q,) = r["quality"]
        assert q["source"] == "proposer"
        assert q["goes_on"]
        assert q["kept"] == r["created"]["kept"]
        assert q["proposals"] == r["created"]["kept"] + r["created"]["dropped"]
        assert sum(q["refused"].values()) == r["created"]["dropped"]
        assert q["keys_right"] == q["keys_checked"] == 8
        assert all(0 <= q[k] <= 1 for k in ("validity", "novelty", "leaks", "diversity", "difficulty", "answerable"))
        assert 0.8 < q["validity"] < 1
    first, second = (r["quality"][0] for r in undisturbed["rounds"])
    assert second["difficulty"] < first["difficulty"]  # it learned
    assert HELD_OUT in {**first["refused"], **second["refused"]}
    shown = instar("show", "undisturbed", "--full", runs=runs).stdout
    assert "proposer: kept" in shown
    assert "refused: it is no expression" in shown
    assert "appraisal" not in shown
    page = report(facts(runs / "undisturbed"))
    assert "Tasks made" in page
    assert "Keys right" in page


def test_a_source_of_which_nothing_can_be_learned_is_stopped_and_the_run_ends(runs: Path) -> None:
    found = run(
        runs, "stopped", *SETS, "rounds=3", "made_a_round=30", "keep_going=true", "engine_options.parse_failures=0.0",
        "model=scripted:add=1,subtract=1,multiply=1,mixed=1", recipe="proposer_solver",
    )  # fmt: skip
    assert found["status"] == "finished"
    assert len(found["rounds"]) == 1
    (first,) = found["rounds"][0]["quality"]
    assert not first["goes_on"]
    assert "answered rightly always" in first["reason"]
    assert "STOPPED" in instar("show", "stopped", runs=runs).stdout


def test_a_fall_is_told_from_a_small_or_steady_source() -> None:
    first = Quality(source="x", round=1, proposals=100, kept=60, validity=0.8, novelty=0.9, diversity=0.7)
    assert fallen([]) is None
    assert fallen([first]) is None
    assert fallen([first, first.model_copy(update={"round": 2, "validity": 0.45})]) is None
    for change, said in (
        ({"validity": 0.3}, "its validity fell from 80% in round 1 to 30%"),
        ({"novelty": 0.2}, "its novelty fell from 90%"),
        ({"diversity": 0.1}, "its diversity fell from 70%"),
        ({"kept": 0}, "nothing of 100 proposals could be kept"),
        ({"leaks": 0.6}, "asks what is held out"),
        ({"answerable": 0.0}, "was answered rightly even once"),
        ({"difficulty": 0.0}, "nothing to learn"),
    ):
        now = first.model_copy(update={"round": 2, **change})
        assert said in str(fallen([first, now]))
        assert fallen([first, now.model_copy(update={"proposals": 10})]) is None


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "proposer_solver", SETS, undisturbed, at=(1, 500))
