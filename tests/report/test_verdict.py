"""The verdict says what the figures say, and says what a reader would be angry not to have been told."""

from __future__ import annotations

from typing import Any

import pytest

from instar.report.verdict import tells_reading, verdict

SEALED: dict[str, Any] = {
    "base": 0.2, "final": 0.5, "gain": 0.3, "low": 0.25, "high": 0.35, "n": 300, "best_constant": 0.03,
    "parse_base": 0.9, "parse_final": 1.0, "controls": {}, "abilities": {},
}  # fmt: skip


def said(status: str = "finished", final: str = "b", **sealed: Any) -> dict[str, Any]:
    return {"sealed": {**SEALED, **sealed}, "base": "a", "final": final, "status": status, "rounds": []}


def words(v: dict[str, Any]) -> str:
    return " ".join([v["headline"], *(text for _, text in v["points"])])


def test_a_gain_above_chance_is_called_better_with_both_scores_and_the_interval() -> None:
    v = verdict(said())
    assert v["tone"] == "good"
    assert v["headline"] == "The model got better: it now solves 50.0% of unseen tasks, before 20.0%."
    assert "+30.0 points" in words(v)
    assert "+25.0 to +35.0" in words(v)


@pytest.mark.parametrize(
    ("low", "high", "tone", "says"),
    [(-0.35, -0.25, "bad", "got worse"), (-0.01, 0.02, "even", "No change that can be told from chance")],
)
def test_a_loss_and_chance_are_not_dressed_up(low: float, high: float, tone: str, says: str) -> None:
    v = verdict(said(low=low, high=high, gain=(low + high) / 2))
    assert v["tone"] == tone
    assert says in v["headline"]
    assert "better" not in v["headline"]


def test_a_run_that_promoted_nothing_is_unchanged_and_claims_no_gain() -> None:
    v = verdict(said(final="a", gain=0.0, low=0.0, high=0.0))
    assert v["tone"] == "even"
    assert "unchanged" in v["headline"]
    assert "points on the sealed exam" not in words(v)


def test_a_gain_that_a_control_has_too_is_not_credited_to_the_method() -> None:
    control = {"score": 0.48, "parse": 1.0, "evolved_minus_control": 0.02, "low": -0.03, "high": 0.07}
    v = verdict(said(controls={"unverified": control}))
    assert "cannot be credited to the method" in words(v)
    beaten = {**control, "score": 0.2, "evolved_minus_control": 0.3, "low": 0.2, "high": 0.4}
    assert "cannot be credited" not in words(verdict(said(controls={"unverified": beaten})))


def test_an_ability_that_fell_a_constant_that_is_as_good_and_unreadable_answers_are_told() -> None:
    fell = {"base": 0.5, "final": 0.3, "gain": -0.2, "low": -0.3, "high": -0.1, "n": 50, "best_constant": 0.1}
    v = verdict(said(abilities={"gcd": fell}, best_constant=0.6, parse_final=0.5))
    assert "Got worse at: gcd (-20.0 points)" in words(v)
    assert "Always giving one answer would score 60.0%" in words(v)
    assert "Fewer answers can be read: 50.0%, before 90.0%" in words(v)


def test_where_the_checker_names_no_answers_nothing_is_said_of_reading_them() -> None:
    fewer = {"base": 0.7, "gain": -0.2, "low": -0.3, "high": -0.1}
    assert "can be read" in words(verdict(said(**fewer, parse_base=0.9, parse_final=0.5)))
    assert "can be read" not in words(verdict(said(**fewer, parse_base=0.7, parse_final=0.5)))
    assert not tells_reading({**fewer, "final": 0.5, "parse_base": 0.7, "parse_final": 0.5})


def test_a_run_that_is_not_over_has_no_verdict_and_says_what_it_has() -> None:
    gate = {"promoted": True, "reason": "", "candidate": "b"}
    v = verdict(
        {"sealed": None, "status": "running", "rounds": [{"gate": gate}, {"gate": None}], "final": None, "base": None}
    )
    assert v["tone"] == "open"
    assert "still working" in v["headline"]
    assert "1 of 1 candidates" in v["headline"]
    killed = verdict({"sealed": None, "status": "killed", "rounds": [], "final": None, "base": None})
    assert "not over (killed)" in killed["headline"]


def test_a_result_that_is_the_base_says_whether_candidates_were_refused_or_there_were_none() -> None:
    gate = {"promoted": False, "reason": "", "candidate": "c", "checks": []}
    none = verdict(said(final="a", gain=0.0, low=0.0, high=0.0))
    assert none["headline"].startswith("The model is unchanged: no candidate came to a gate.")
    refused = verdict({**said(final="a", gain=0.0, low=0.0, high=0.0), "rounds": [{"round": 1, "gate": gate}]})
    assert refused["headline"].startswith("The model is unchanged: no candidate was let through.")
