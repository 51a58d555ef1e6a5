"""Consolidate on the scripted model: what an example gave is in the weights at the end, and a kill changes nothing."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from instar.records import Learn, Policy, Solution
from instar.store.ledger import Ledger
from instar.store.readers.lineage import kinds
from instar.store.roles import roles_of
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar

SETS = (
    "model=scripted", "sizes.train=24", "sizes.dev=40", "sizes.gate=60", "sizes.sealed=40", "candidates=6", "first=24",
    "finalists=2", "train.epochs=3", "consolidate.train.epochs=4", "solve.samples=6",
    'tasks={op="reasoning_gym", families={chain_sum={min_terms=2, max_terms=2}}}', "audit_with=none", "gate.guarded=[]",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    options = [o for s in SETS for o in ("--set", s)]
    done = instar("run", "consolidate", "--name", "undisturbed", "--json", "--quiet", *options, runs=runs)
    return cast(dict[str, Any], json.loads(done.stdout))


def test_it_ends_above_the_example_alone_and_keeps_the_gain_without_it(runs: Path, undisturbed: dict[str, Any]) -> None:
    sealed, controls = undisturbed["sealed"], undisturbed["sealed"]["controls"]
    assert sealed["gain"] > 0.3
    assert sealed["final"] > controls["demonstrations"]["score"]
    with_it = controls["with"]["score"] if "with" in controls else sealed["final"]
    alone = controls["without"]["score"] if "without" in controls else sealed["final"]
    assert alone - sealed["base"] >= 0.8 * (with_it - sealed["base"])
    assert content(runs, "undisturbed")


def test_the_last_round_learns_plainly_what_was_said_with_the_example_in_sight(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    with closing(Ledger.read(runs / "undisturbed" / "ledger.db")) as ledger:
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        made = next(p for p in policies.values() if p.made_by == "consolidate")
        parent = policies[made.parent or ""]
        update = roles_of(ledger).updates[made.id]
        learned = [cast(Solution, s) for s in ledger.records(ids=update.solutions)]
        assert kinds(ledger, {made.parent or ""}) == {made.parent: "policy"}
    assert (parent.few_shots != (), made.few_shots) == (True, ())
    assert made.weights != parent.weights
    assert all(policies[s.policy].few_shots == parent.few_shots for s in learned)
    assert {t.said.learn for s in learned for t in s.turns if t.said} == {Learn.as_asked}  # as it was said


def test_without_a_dev_set_it_is_refused(runs: Path, undisturbed: dict[str, Any]) -> None:
    options = [o for s in (*SETS, "sizes.dev=0") for o in ("--set", s)]
    done = instar("run", "consolidate", "--name", "no-dev", "--quiet", *options, runs=runs, check=False)
    assert (done.returncode != 0, "has no dev set" in done.stderr) == (True, True)


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "consolidate", SETS, undisturbed, at=(100, 700, 1000), common=())
