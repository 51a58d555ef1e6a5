"""Zero data on the scripted model: it improves on what it made itself, and a kill changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.records import Policy, Task
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
