"""Consolidate on the scripted model: what an example gave is in the weights at the end, and a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from instar.records import Policy, Report
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar

SETS = (
    "model=scripted", "sizes.train=40", "sizes.dev=60", "sizes.gate=90", "sizes.sealed=60", "candidates=6", "first=24",
    "finalists=2", "train.epochs=3", "consolidate.train.epochs=6",
    'tasks={op="reasoning_gym", families={chain_sum={min_terms=2, max_terms=2}}}', "audit_with=none",
)  # fmt: skip


def run(runs: Path, name: str, *sets: str, check: bool = True) -> dict[str, Any]:
    options = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "consolidate", "--name", name, "--json", "--quiet", *options, runs=runs, check=check)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr, "code": done.returncode}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed")


def test_it_ends_above_the_example_alone_and_keeps_the_gain_without_it(runs: Path, undisturbed: dict[str, Any]) -> None:
    print(json.dumps(undisturbed, indent=1)[:3000])
    assert content(runs, "undisturbed")
