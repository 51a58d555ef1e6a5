"""Every recipe runs by its name alone: what it needs of tasks and sets, it brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.acquire.feedback import pool
from instar.app.configs.by_name import OWN, started
from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.preflight.flight import OF_THE_PLAN, OF_THE_TASKS
from instar.app.preflight.seen import Seen
from instar.app.review.rederive import verified
from instar.app.sessions.session import execute
from instar.app.sessions.task_sets import draw
from instar.recipes import RECIPES
from instar.report.summary import summary
from instar.run.progress import Screen

TINY = {"train": 4, "gate": 4, "sealed": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("by_name")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTAR_RUNS", str(home / "runs"))
        patch.setenv("INSTAR_HOME", str(home / "home"))
        yield home / "runs"
    pool.shared().close()


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_every_recipe_runs_by_its_name_alone(folder: Path, recipe: str) -> None:
    """At full size all checks before a run find nothing; small, it runs to its sealed exam, and verifies."""
    whole = plan(started(recipe, ["model=scripted"]))
    seen = Seen(whole, draw(whole), None)
    assert [str(e) for check in (*OF_THE_PLAN, *OF_THE_TASKS) for e in check(seen)] == []
    rounds = 2 if recipe == "consolidate" else 1  # it shows in one what it takes into the weights in the last
    raw = started(recipe, ["model=scripted", f"rounds={rounds}", "audit_with=none", "verifier_stress=off"])
    small = {**TINY, **({"dev": 12} if whole.run.sizes.dev else {})}
    # the scripted model writes no programs, and each that is run costs a process: two will do
    raw["sizes"] = small if recipe != "self_debug" else {"train": 1, "gate": 1, "sealed": 2}
    if "per_round" in type(whole.settings).model_fields:
        raw["per_round"] = 4
    if "made_a_round" in type(whole.settings).model_fields:
        raw["made_a_round"] = 4
    if "questions" in type(whole.settings).model_fields:
        raw["questions"] = 4
    if recipe == "memory_bank":
        raw["insert"] = {"embedder": "words"}  # the embedding model takes seconds to load
    if recipe == "expel":
        raw |= {"insights": {"embedder": "words"}, "remember": {"embedder": "words"}}
    if recipe == "reflexion":
        raw["remember"] = {"embedder": "words", "take": "reflections"}
    run = folder / recipe
    run.mkdir(parents=True)
    execute(plan(raw), run, Screen("silent"))
    found = summary(run)
    assert (found["status"], found["sealed"]["n"]) == ("finished", raw["sizes"]["sealed"])
    assert verified(run).wrong == []


def test_what_is_set_stays_as_it_is_set_and_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    own = started("self_debug", ["sizes.train=7", "tasks.op=code_jsonl", "tasks.path=x.jsonl"])
    assert own["sizes"] == {"train": 7, "gate": 100, "sealed": 240}
    assert own["tasks"] == {"op": "code_jsonl", "path": "x.jsonl"}
    assert "system" not in own
    # a setting of its own tasks leaves them its own
    assert started("amie", ["tasks.turns=4"])["tasks"] == {"op": "clinic", "sides": True, "turns": 4}
    assert "suites" in started("self_qa", ["tasks.articles=30"])
    assert started("full_loop", ["sizes.dev=9"])["sizes"] == {"dev": 9}
    (tmp_path / "x.toml").write_text('recipe = "full_loop"\n')
    assert "sizes" not in started(str(tmp_path / "x.toml"))
    assert all(read(name) == {"recipe": name} for name in OWN)


@pytest.mark.parametrize(
    ("sets", "forms"),
    [
        ((), True),
        (("tasks={op='village', least=1}", "solve.samples=2"), True),
        (("solve.signatures=false", "exam.solve.signatures=false"), False),
        (("tasks={op='multi_hop'}",), False),
        (("solve.environment={op='multi_hop'}",), False),
        (("shots=[{question='a', answer='b'}]",), False),
    ],
)
def test_a_group_is_shown_the_requests_that_it_will_make(sets: tuple[str, ...], forms: bool) -> None:
    raw = started("autoact", sets)
    own = [m["content"] for shot in raw["shots"] if "messages" in shot for m in shot["messages"]]
    assert any("Call finish[answer]." in text for text in own) is forms
    assert ("Call it." in own) is (bool(own) and not forms)
    assert [raw.get(k, {}).get("signatures", False) for k in ("solve",)] == [forms]
    assert raw.get("exam", {}).get("solve", {}).get("signatures", False) is forms
