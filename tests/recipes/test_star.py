"""STaR on the scripted model: it improves, not with an inverted filter, a kill changes nothing, no hint is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.recipes.star import one_a_task
from instar.records import Experience, Feedback, Policy, Solution
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run
from tests.refine.test_filters import item

SETS = ("sizes.train=50", "sizes.gate=60", "sizes.sealed=40", "train.epochs=6")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="star")


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert any(r["gate"]["promoted"] for r in undisturbed["rounds"])


def test_it_fails_to_improve_when_its_filter_is_inverted(runs: Path) -> None:
    inverted = run(runs, "inverted", *SETS, 'right={op="not", inner="score_at_least"}', recipe="star")
    assert inverted["sealed"]["gain"] <= 0
    assert not any(r["gate"]["promoted"] for r in inverted["rounds"])


def test_rationalised_answers_are_flagged_trained_on_and_answer_the_original_question(
    runs: Path, undisturbed: dict
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    solutions = [r for r in ledger.records("solution") if isinstance(r, Solution)]
    hinted = {s.id for s in solutions if "rationalised" in s.flags}
    assert 0 < len(hinted) < len(solutions)
    made_from = {p for r in ledger.records("policy") if isinstance(r, Policy) for p in ledger.parents([r.id])[r.id]}
    assert hinted & made_from
    assert not any("hint" in r.model_dump_json().lower() for kind in ("solution", "feedback", "task")
                   for r in ledger.records(kind))  # fmt: skip
    right = {f.solution for f in ledger.records("feedback") if isinstance(f, Feedback) and f.score == 1}
    assert {i for i in made_from if i in {s.id for s in solutions}} <= right
    ledger.close()


def test_each_round_trains_the_base_on_its_own_rows_alone(runs: Path, undisturbed: dict) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    train = ledger.sets()["train"]
    half = len(train) // 2
    for round, own in ((1, set(train[:half])), (2, set(train[half:]))):
        candidate = next(r["gate"]["candidate"] for r in undisturbed["rounds"] if r["round"] == round)
        parents = set(ledger.parents([candidate])[candidate])
        assert undisturbed["base"] in parents
        assert parents & set(train) <= own
        assert parents & own
    ledger.close()


def test_a_hint_is_given_once_a_task_and_only_where_nothing_was_right() -> None:
    wrong = [item("a"), item("b"), item("c", task="u"), item("d", task="v"), item("e", task="v")]
    right: list[Experience] = [item("f", task="u")]
    assert [e.id for e in one_a_task(wrong, besides=right)] == ["a", "d"]
    assert one_a_task([], besides=right) == []


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, "star", SETS, undisturbed, at=(20, 80))
