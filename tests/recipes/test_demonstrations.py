"""Demonstrations on the scripted model: which example is shown matters, wrong ones harm, and a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from instar.records import Policy, Report
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import instar

SETS = (
    "model=scripted", "sizes.train=30", "sizes.dev=60", "sizes.gate=90", "sizes.sealed=60", "candidates=6", "first=24",
    "finalists=2", 'tasks={op="reasoning_gym", families={chain_sum={min_terms=2, max_terms=2}}}',
)  # fmt: skip


def run(runs: Path, name: str, *sets: str, check: bool = True) -> dict[str, Any]:
    options = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "demonstrations", "--name", name, "--json", "--quiet", *options, runs=runs, check=check)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr, "code": done.returncode}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed")


def test_a_chosen_example_helps_on_tasks_it_never_saw_and_nothing_is_trained(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["sealed"]["gain"] > 0.1
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
    assert len({p.weights.digest for p in policies.values()}) == 1
    asked, said = policies[undisturbed["final"]].few_shots
    tasks = {cast(Any, t).question: t.id for t in ledger.records("task")}
    assert tasks[asked.content] in ledger.parents([undisturbed["final"]])[undisturbed["final"]]
    assert said.content
    ledger.close()


def test_the_chosen_one_is_the_best_of_those_that_were_tried_on_dev_and_better_than_its_controls(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    reports = [cast(Report, r) for r in ledger.records("report")]
    dev = {r.policy: r.metrics["mean@1"].value for r in reports if r.exam.suite == "dev" and len(r.outcomes) == 60}
    sealed = {r.policy: r.metrics["mean@1"].value for r in reports if r.exam.suite == "sealed"}
    ledger.close()
    final, base = undisturbed["final"], undisturbed["base"]
    assert len(dev) == 3
    assert dev[final] == max(dev.values())
    wrong, random = (undisturbed["controls"][name] for name in ("wrong", "random"))
    assert sealed[wrong] < sealed[base] < sealed[final]
    assert sealed[random] <= sealed[final]


def test_without_a_dev_set_it_is_refused_before_anything_is_asked(runs: Path) -> None:
    refused = run(runs, "blind", "sizes.dev=0", check=False)
    assert refused["code"] == 2
    assert "sizes.dev" in refused["error"]


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "demonstrations", SETS, undisturbed, at=(60, 300), common=())
