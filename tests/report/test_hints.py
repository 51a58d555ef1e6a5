"""What the terminal says may help when nothing was promoted."""

from __future__ import annotations

from typing import Any

from instar.report.hints import hints, kept_of


def gate(gain: float, passed: bool, guards: dict[str, int]) -> dict[str, Any]:
    numbers = {"gain": gain, "n": 16.0, "smallest_detectable": 0.49}
    checks = [{"name": "comparable", "passed": True, "numbers": {}, "reason": ""}]
    checks.append({"name": "gain", "passed": passed, "numbers": numbers, "reason": ""})
    checks += [{"name": f"guard:{a}", "passed": False, "numbers": {"n": n}, "reason": ""} for a, n in guards.items()]
    return {"promoted": False, "reason": "", "checks": checks}


def a_round(gate: dict[str, Any] | None, kept: int = 0, dropped: int = 0) -> dict[str, Any]:
    return {"round": 1, "gate": gate, "filters": {"finished": {"kept": kept, "dropped": dropped}}}


def test_a_gain_that_the_guards_refused_for_want_of_items_is_said_with_the_smallest_of_them() -> None:
    (said,) = hints({"rounds": [a_round(gate(0.375, True, {"larger": 5, "units": 1}))]})
    assert "gained +37.5 points" in said
    assert "units has 1 items" in said
    assert "gate.guarded=[]" in said


def test_a_gain_that_the_gate_was_too_small_to_see_asks_for_a_larger_gate() -> None:
    (said,) = hints({"rounds": [a_round(gate(0.312, False, {"units": 1}))]})
    assert "+31.2 points on 16 gate items, which can show 49.0" in said


def test_answers_that_were_cut_off_ask_for_more_tokens() -> None:
    (said,) = hints({"rounds": [a_round(None, kept=21, dropped=40)]})
    assert "40 of 61 answers" in said
    assert "max_tokens" in said


def test_a_loss_and_a_round_without_a_gate_give_no_hint() -> None:
    assert hints({"rounds": [a_round(gate(-0.1, False, {})), a_round(None, kept=9)]}) == []


def test_what_a_round_kept_is_not_what_another_choice_of_rows_kept() -> None:
    chosen = {"score_at_least": {"kept": 6, "dropped": 0}, "per_task_cap": {"kept": 5, "dropped": 1}}
    assert kept_of(chosen) == 5
    assert kept_of({**chosen, "true_reflection": {"kept": 0, "dropped": 6}}) == 5
    assert kept_of({}) is None
