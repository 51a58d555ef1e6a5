"""A run with suites, killed among its last exams, ends as one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, run

SUITES = (
    "rounds=1", "suites.guard:sums.tasks.op=reasoning_gym", "suites.guard:sums.size=60",
    "suites.guard:sums.tasks.families.chain_sum={min_terms=2,max_terms=2,min_digits=1,max_digits=2}",
    "suites.attack:gcd.tasks.op=reasoning_gym", "suites.attack:gcd.tasks.families.gcd={}", "suites.attack:gcd.size=90",
)  # fmt: skip


@pytest.mark.slow
def test_a_run_with_suites_that_is_killed_while_it_examines_them_ends_the_same(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "runs", "undisturbed", *SUITES)
    assert {x["name"] for x in undisturbed["suites"]} == {"guard:sums", "attack:gcd"}
    before = 30 * 8 + 2 * 60 + 60 * len({undisturbed["base"], undisturbed["final"]})
    ends_the_same_when_killed(tmp_path / "runs", "rest_em", SUITES, undisturbed, at=(100, before + 20, before + 80))
    assert content(tmp_path / "runs", "killed")
