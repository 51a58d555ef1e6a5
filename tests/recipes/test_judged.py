"""ReST-EM with a model as its judge: measured first, refused if it is not to be believed, and its figures are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instar.records import Feedback, Plant, Solution
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar, run

RUBRIC = ('judge={op="rubric", samples=1, sampling={temperature=0.0, max_tokens=60}}', "judge_model=scripted:judge=1.0")
SURE = "engine_options.parse_failures=0.0"
"""Every judgement can be read. One in twenty is lost else, and a lost comparison leaves both of its pair undecided."""
INVERTED = (RUBRIC[0], "judge_model=scripted:judge=0.0")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def verified(runs: Path) -> dict[str, Any]:
    return run(runs, "verified", "control=true")


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", *RUBRIC)


def audited(summary: dict[str, Any], round: int) -> dict[str, dict[str, Any]]:
    (rows,) = [r["assessments"] for r in summary["audit"] if r["round"] == round]
    return {a["name"]: a for a in rows}


def test_exact_answers_are_filtered_with_precision_and_recall_of_one(verified: dict[str, Any]) -> None:
    for round in (1, 2):
        found = audited(verified, round)
        for name in ("verify", "score_at_least"):
            numbers = found[name]["numbers"]
            assert (numbers["precision"], numbers["recall"], numbers["n"]) == (1.0, 1.0, 24.0)
            # a check of the final answer cannot see a false step: that is said, not hidden
            assert numbers["wrong_reason_accepted"] == 1.0
        assert found["verify"]["numbers"]["kappa"] == 1.0
        assert set(found) == {"verify", "score_at_least", "finished", "distinct", "per_task_cap"}


def test_planted_answers_never_reach_training_and_look_like_any_in_the_ledger(
    runs: Path, verified: dict[str, Any]
) -> None:
    ledger = Ledger.read(runs / "verified" / "ledger.db")
    plants = {p.id: p for p in ledger.records("plant") if isinstance(p, Plant)}
    assert len(plants) == 2 * 36
    policies = [p.id for p in ledger.records("policy")]
    assert len(policies) > 2
    for policy in policies:
        assert not ledger.ancestors(policy) & set(plants)
    # nothing but the audit's own records says what they are
    solutions = {s.id for s in ledger.records("solution") if isinstance(s, Solution)}
    assert not solutions & set(plants)
    judged = [f for f in ledger.records("feedback") if isinstance(f, Feedback) and f.solution in plants]
    assert len(judged) == len(plants)
    ledger.close()


def test_a_run_decides_the_same_about_real_answers_with_and_without_the_audit(
    runs: Path, verified: dict[str, Any]
) -> None:
    without = run(runs, "without", "control=true", "audit_with=none")
    assert without["audit"] == []
    assert without["final"] == verified["final"]
    assert without["sealed"] == verified["sealed"]
    assert [r["filters"] for r in without["rounds"]] == [r["filters"] for r in verified["rounds"]]


def test_a_rubric_that_is_measured_to_be_good_teaches_and_its_figures_are_shown(
    runs: Path, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    found = json.loads(instar("show", "undisturbed", "--json", runs=runs).stdout)
    rubric = audited(found, 1)["rubric"]
    assert rubric["trusted"]
    assert rubric["policy"] not in (found["base"], found["final"])
    assert rubric["numbers"]["kappa"] > 0.8
    assert {"agreement", "length_correlation", "undecided", "wrong_reason_accepted"} <= set(rubric["numbers"])
    printed = instar("show", "undisturbed", "--full", runs=runs).stdout
    assert "audit, round 1: judge rubric on 24 known answers: precision" in printed
    assert "kappa" in printed


def test_an_inverted_judge_is_refused_with_one_sentence_before_it_has_judged_a_real_answer(runs: Path) -> None:
    refused = run(runs, "inverted", *INVERTED, check=False)
    assert refused["code"] == 11
    assert "the judge 'rubric' is refused: it agrees with" in refused["error"]
    assert "it is inverted" in refused["error"]
    found = json.loads(instar("show", "inverted", "--json", runs=runs).stdout)
    rubric = audited(found, 1)["rubric"]
    assert not rubric["trusted"]
    assert rubric["numbers"]["kappa"] < 0
    assert "REFUSED" in instar("show", "inverted", runs=runs).stdout
    ledger = Ledger.read(runs / "inverted" / "ledger.db")
    plants = {p.id for p in ledger.records("plant")}
    assert {f.solution for f in ledger.records("feedback") if isinstance(f, Feedback)} <= plants
    ledger.close()
    again = instar("resume", "inverted", "--quiet", runs=runs, check=False)
    assert again.returncode == 11, "a resumed run asks nothing and is refused again"


def test_a_judge_that_guesses_is_below_the_bar_and_the_bar_can_be_moved(runs: Path) -> None:
    weak = ("judge_model=scripted:judge=0.6", RUBRIC[0])
    refused = run(runs, "weak", *weak, check=False)
    assert refused["code"] == 11
    assert "a kappa of 0.4 is asked for" in refused["error"] or "inverted" in refused["error"]
    unmeasured = run(runs, "unmeasured", *weak, "audit_with=none")
    assert unmeasured["status"] == "finished"


def test_pairs_and_votes_are_measured_too(runs: Path) -> None:
    pairs = run(runs, "pairs", 'judge={op="pairwise"}', "judge_model=scripted:judge=1.0", "rounds=1", SURE)
    numbers = audited(pairs, 1)["pairwise"]["numbers"]
    assert (numbers["swap_consistency"], numbers["kappa"], numbers["undecided"]) == (1.0, 1.0, 0.0)
    votes = run(runs, "votes", recipe="self_consistency")
    numbers = audited(votes, 1)["vote"]["numbers"]
    assert numbers["n"] == 24
    assert numbers["precision"] is None or numbers["precision"] > 0.5


def test_a_judge_that_cannot_be_measured_inside_an_update_is_refused(runs: Path) -> None:
    sets = ("model=scripted", "sizes={train=16, gate=8, sealed=8}", *RUBRIC)
    refused = instar("run", "grpo", "--quiet", *(o for x in sets for o in ("--set", x)), runs=runs, check=False)
    assert refused.returncode == 11
    assert "inside an update's own rollouts no judge is measured" in refused.stderr


def test_without_answers_that_fit_in_a_line_a_judge_that_believes_a_model_is_refused(runs: Path) -> None:
    rows = "".join(
        json.dumps({"question": f"Write a verse about the number {i}.", "answer": "Once\nupon"}) + "\n"
        for i in range(400)
    )
    (runs.parent / "open.jsonl").write_text(rows)
    refused = run(runs, "open", *RUBRIC, 'tasks={op="jsonl", path="open.jsonl"}', "verifier_stress=off", check=False)
    assert refused["code"] != 0
    assert "known answer" in refused["error"] or "answer" in refused["error"]


def test_a_judge_model_that_needs_another_engine_or_has_an_unknown_skill_is_refused_at_once(runs: Path) -> None:
    for name, sentence in (("scripted:jugde=1", "is not a skill"), ("scripted:judge=2", "is not a skill")):
        refused = run(runs, f"wrong{len(name)}{name[-1]}", f"judge_model={name}", check=False)
        assert sentence in refused["error"]


def test_killed_in_the_middle_a_judged_run_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "rest_em", RUBRIC, undisturbed, at=(100, 400))
    assert content(runs, "killed") == content(runs, "undisturbed")
