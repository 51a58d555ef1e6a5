"""Suites on the real model: base and result are examined on a guard and an attack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.test_real_model import begin, end, query, show

SMALL = (
    "rounds=1", "sizes.train=16", "sizes.gate=12", "sizes.sealed=10", "solve.samples=4", "solve.sampling.max_tokens=24",
    "exam.solve.sampling.max_tokens=24", "train.epochs=2",
    f"gate={Path(__file__).parents[2] / 'bench' / 'taken.py'}:Taken",
    "suites.guard:sums.tasks.op=reasoning_gym", "suites.guard:sums.tasks.families.chain_sum={min_terms=2,max_terms=2}",
    "suites.guard:sums.size=10", "suites.attack:gcd.tasks.op=reasoning_gym", "suites.attack:gcd.tasks.families.gcd={}",
    "suites.attack:gcd.size=8", "control=false",
)  # fmt: skip
"""A gate that all pass, so that the result is another model than the base."""


@pytest.mark.slow
def test_the_real_model_is_examined_on_its_suites_before_and_after(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    options = [o for s in SMALL for o in ("--set", s)]
    end(begin(runs, "run", "rest_em", "--set", "model=smollm2-135m", "--name", "one", "--quiet", *options), 300)
    found = show(runs, "one")
    policies = {found["base"], found["final"]}
    assert len(policies) == 2, [r["gate"] for r in found["rounds"]]
    assert [(x["name"], x["n"]) for x in found["suites"]] == [("guard:sums", 10), ("attack:gcd", 8)]
    for name in ("guard:sums", "attack:gcd"):
        examined = query(
            runs, "one", "select json_extract(body, '$.policy') from records where kind = 'report' and "
            f"json_extract(body, '$.exam.suite') = '{name}'",
        )  # fmt: skip
        assert sorted(p for (p,) in examined) == sorted(policies)
    end(begin(runs, "verify", "one"))
