"""The correcting recipes on the scripted model: a good critic improves answer and policy, a silent one neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.records import Policy, Solution, TurnKind
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run

COMMON = ("rounds=1", "learn=true", "sizes.train=60", "sizes.gate=60", "sizes.sealed=40", "train.epochs=6")
RECIPES = (
    "self_refine",
    "critic",
    "constitutional",
    pytest.param("self_debug", marks=pytest.mark.slow),  # each of its answers is run in the sandbox: a minute a run
)
SILENT = "engine_options.insight=0.0"


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Path:
    return tmp_path_factory.mktemp(recipe) / "runs"


@pytest.fixture(scope="module")
def sets(runs: Path, recipe: str) -> tuple[str, ...]:
    """The settings of a small run that learns; Self-Debug's tasks ask for code."""
    if recipe != "self_debug":
        return COMMON
    path = runs.parent / "code.jsonl"
    rows = [
        {
            "question": f"Write a Python function f() that returns {a} + {b}.",
            "answer": f"def f(): return {a + b}",
            "tests": {"visible": [f"assert f() == {a + b}"], "hidden": [f"assert f() + 1 == {a + b + 1}"]},
            "names": ["f"],
        }
        for a in range(10, 25)
        for b in range(30, 45)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    # one epoch: a policy that knows everything leaves nothing to correct
    fewer = ("sizes.train=30", "sizes.gate=40", "sizes.sealed=24")  # each answer is a process in the sandbox
    return (*COMMON, *fewer, "train.epochs=1", f'tasks={{op="code_jsonl", path="{path}"}}')


@pytest.fixture(scope="module")
def undisturbed(runs: Path, recipe: str, sets: tuple[str, ...]) -> dict:
    return run(runs, "undisturbed", *sets, recipe=recipe)


def test_the_policy_improves_on_tasks_it_never_saw_and_so_does_its_corrected_answer(
    undisturbed: dict, recipe: str
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert undisturbed["rounds"][0]["gate"]["promoted"]
    found = undisturbed["sealed"]["procedures"][recipe]
    assert found["gain"]["value"] > 0
    assert found["procedure"]["tokens"] > found["plain"]["tokens"]
    assert abs(found["best_of_k"]["tokens"] - found["procedure"]["tokens"]) <= found["sampling"]["tokens"]
    assert found["self_consistency"]["tokens"] == found["best_of_k"]["tokens"]


def test_with_a_silent_critic_neither_improves(runs: Path, recipe: str, sets: tuple[str, ...]) -> None:
    # Self-Debug has tests to speak for it, and learns from code that passes whoever mends it: there, none is mended
    mute = ("engine_options.mending=0.0", "learn=false") if recipe == "self_debug" else (SILENT,)
    silent = run(runs, "silent", *sets, *mute, recipe=recipe)
    assert silent["sealed"]["gain"] <= 0
    assert not any(r["gate"] and r["gate"]["promoted"] for r in silent["rounds"])
    assert silent["sealed"]["procedures"][recipe]["gain"]["low"] <= 0


def test_with_its_filter_inverted_it_does_not_learn(runs: Path, recipe: str, sets: tuple[str, ...]) -> None:
    inverted = 'right={op="not", inner={op="unflagged", flag="unresolved"}}'
    found = run(runs, "inverted", *sets, inverted, recipe=recipe)
    assert found["sealed"]["gain"] <= 0
    assert not any(r["gate"] and r["gate"]["promoted"] for r in found["rounds"])


def test_each_rewrite_knows_its_parent_and_no_draft_or_critique_may_be_trained_on(
    runs: Path, undisturbed: dict, recipe: str
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    ops = {i for i, o in ledger.ops().items() if o["name"] == recipe}
    rows = [r for r in ledger.rows("records") if r["kind"] == "solution" and r["op"] in ops]
    rewrites = {r["id"]: Solution.model_validate_json(r["body"]) for r in rows}
    solutions = {s.id: s for s in ledger.records("solution") if isinstance(s, Solution)}
    assert len(rewrites) == undisturbed["config"]["sizes"]["train"]
    for id, rewrite in rewrites.items():
        (parent,) = [solutions[p] for p in ledger.parents([id])[id] if p in solutions]
        assert parent.task == rewrite.task
        assert rewrite.turns[0].kind is TurnKind.draft
        assert rewrite.turns[0].text == parent.text
        assert [t.kind for t in rewrite.turns if t.train] == [TurnKind.assistant]
    final = next(p for p in ledger.records("policy") if isinstance(p, Policy) and p.id == undisturbed["final"])
    assert set(ledger.parents([final.id])[final.id]) & set(rewrites)
    # no gold answer had a part in it: the audit is beside the line of descent
    assert not {r["id"] for r in ledger.rows("records") if r["kind"] == "feedback"} & set(ledger.ancestors(final.id))
    ledger.close()


def test_without_learning_the_policy_stays_and_the_procedure_is_examined(
    runs: Path, recipe: str, sets: tuple[str, ...]
) -> None:
    found = run(runs, "plain", *sets, "learn=false", recipe=recipe)
    assert found["final"] == found["base"]
    assert found["sealed"]["procedures"][recipe]["gain"]["value"] > 0


def test_critic_with_python_mends_what_a_program_found_wrong(tmp_path: Path) -> None:
    small = ("correct.tool=python", "sizes.train=10", "sizes.gate=10", "sizes.dev=4", "sizes.sealed=12")
    found = run(tmp_path / "runs", "python", *small, recipe="critic")["sealed"]["procedures"]["critic"]
    assert found["procedure"]["score"] > found["plain"]["score"]
    ledger = Ledger.read(tmp_path / "runs" / "python" / "ledger.db")
    said = [t.text for s in ledger.records("solution") if isinstance(s, Solution) for t in s.turns]
    ledger.close()
    assert any(text.startswith("The program says: ") for text in said)
    assert any(text.startswith("The program has no evidence: ") for text in said)


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(
    runs: Path, recipe: str, sets: tuple[str, ...], undisturbed: dict
) -> None:
    ends_the_same_when_killed(runs, recipe, sets, undisturbed, at=(10, 30, 80))
