"""``instar difficulty``: fitted over train and dev of one run or more, and blind to gate and sealed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from instar.store.ledger import Ledger
from tests.recipes.scripted import instar


def test_tasks_and_policies_of_train_and_dev_have_difficulties_and_no_others(made: Path) -> None:
    found = json.loads(instar("difficulty", "one", "--json", runs=made).stdout)
    with closing(Ledger.read(made / "one" / "ledger.db")) as ledger:
        sets = ledger.sets()
    assert {t["task"] for t in found["tasks"]} <= {*sets["train"], *sets["dev"]}
    assert {t["set"] for t in found["tasks"]} == {"train", "dev"}
    assert found["model"] == "rasch"
    assert len(found["policies"]) >= 2
    hard = [t["difficulty"] for t in found["tasks"]]
    assert hard == sorted(hard, reverse=True)
    assert all(x["error"] > 0 for x in (*found["tasks"], *found["policies"]))


def test_runs_are_fitted_together_and_a_slope_can_be_asked_for(made: Path) -> None:
    alone = json.loads(instar("difficulty", "two", "--json", runs=made).stdout)
    both = json.loads(instar("difficulty", "one", "two", "--2pl", "--json", runs=made).stdout)
    assert {p["policy"] for p in alone["policies"]} <= {p["policy"] for p in both["policies"]}
    assert len(both["tasks"]) >= len(alone["tasks"])
    assert all(t["slope"] > 0 for t in both["tasks"])


def test_the_page_says_what_it_is_fitted_to_and_lists_the_ends(made: Path) -> None:
    shown = instar("difficulty", "one", runs=made).stdout
    assert "tasks of train and dev" in shown
    assert "hardest" in shown
    assert "easiest" in shown


def test_a_run_that_is_not_there_is_named(made: Path) -> None:
    done = instar("difficulty", "nobody", runs=made, check=False)
    assert done.returncode == 2
    assert "nobody" in done.stderr
