"""Self-Instruct and Evol-Instruct on the scripted model: made, filtered, answered, learned; a kill changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.acquire.tasks import evolve, self_instruct
from instar.records import Policy, Task
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run

SETS = (
    'tasks.families={chain_sum={min_terms=2,max_terms=2,max_digits=2},products={max_terms=2,max_digits=2}}',
    "rounds=2", "sizes.train=20", "sizes.gate=60", "sizes.sealed=60", "made_a_round=60", "train.epochs=3",
    'judge="vote"', "solve.samples=6",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", *SETS, recipe="self_instruct")


def made_in(folder: Path, final: str, source: str) -> tuple[list[Task], set[str], dict[str, list[str]]]:
    """The tasks of a source that were made, and all that a policy descends from."""
    ledger = Ledger.read(folder / "ledger.db")
    assert any(isinstance(r, Policy) and r.id == final for r in ledger.records("policy"))
    made = [t for t in ledger.records("task") if isinstance(t, Task) and t.source.startswith(source)]
    found = made, ledger.ancestors(final), ledger.sets()
    ledger.close()
    return found


def test_self_instruct_learns_from_what_it_wrote_and_descends_from_the_given_tasks(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    made, reached, sets = made_in(runs / "undisturbed", undisturbed["final"], "self_instruct")
    assert {t.id for t in made} & reached
    assert set(sets["train"]) & reached
    assert not reached & {t for name in ("gate", "sealed") for t in sets[name]}
    quality = [q for r in undisturbed["rounds"] for q in r["quality"]]
    assert len(quality) == 2
    assert {self_instruct.KEY_WORD, self_instruct.LIKE} & set(quality[0]["refused"])


def test_evol_instruct_trains_on_unjudged_answers_and_counts_what_failed(runs: Path) -> None:
    sets = [s for s in SETS if not s.startswith(("judge", "solve", "rounds"))]
    found = run(runs, "evolved", *sets, "rounds=1", "made_a_round=20", recipe="evol_instruct")
    assert found["status"] == "finished"
    (quality,) = found["rounds"][0]["quality"]
    assert quality["proposals"] == 20
    assert set(quality["refused"]) & {evolve.LEAKS_PROMPT, evolve.NOTHING_NEW}
    assert quality["difficulty"] is None  # nobody said what is right
    assert not any(name.startswith("score") for name in found["rounds"][0]["filters"])
    assert found["rounds"][0]["filters"]["answered"]["kept"] > 0


def test_metamath_questions_have_exact_keys_that_answers_are_checked_by(runs: Path) -> None:
    sets = [s for s in SETS if not s.startswith(("judge", "rounds"))]
    found = run(
        runs, "turned", *sets, "rounds=1", 'judge="verify"', 'create={op="bootstrapped", ways=["fobar"]}',
        "keep_going=true", "made_a_round=30", recipe="evol_instruct",
    )  # fmt: skip
    assert found["status"] == "finished"
    made, _, _ = made_in(runs / "turned", found["final"], "bootstrapped/fobar")
    assert len(made) > 10
    assert all(t.private["answer"].isdigit() and "unknown variable X" in t.question for t in made)
    (quality,) = found["rounds"][0]["quality"]
    assert quality["answerable"] < 0.2  # the scripted model knows no equations
    assert found["rounds"][0]["filters"]["score_at_least"]["dropped"] > 50


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "self_instruct", SETS, undisturbed, at=(1, 400))
