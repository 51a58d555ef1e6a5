"""The generation-verification gap: what the verifier would add, and when a round is not worth its price."""

from __future__ import annotations

import pytest

from instar.errors import DataError
from instar.evaluate.prediction import VerificationGap, gap_of
from instar.evaluate.report import make_report
from instar.records import Mark, Report
from tests.evaluate.build import attempt, exam_of, tasks_of


def report(marks: list[str]) -> Report:
    tasks = tasks_of(len(marks))
    tried = [attempt(t, m, i) for t, own in zip(tasks, marks, strict=True) for i, m in enumerate(own)]
    return make_report("p", exam_of(tasks, n=len(marks[0])), tried, tasks)


def perfect(r: Report) -> dict[str, list[bool]]:
    return {o.task: [m is Mark.right for m in o.marks] for o in r.outcomes}


def test_a_verifier_that_keeps_the_right_answers_raises_half_right_items_to_full() -> None:
    r = report(["1100"] * 20)
    assert gap_of(r, perfect(r)).value == pytest.approx(0.5)
    said = VerificationGap()(r, perfect(r))
    assert said.kept
    assert said.item == "p"
    assert "+50.0 points" in said.reason
    assert "20 dev items" in said.reason


def test_an_item_of_which_nothing_is_kept_adds_nothing() -> None:
    r = report(["0000"] * 5 + ["1100"] * 5)
    assert gap_of(r, perfect(r)).value == pytest.approx(0.25)


@pytest.mark.parametrize("marks", [["1111"] * 20, ["0000"] * 20])
def test_a_round_is_skipped_where_the_verifier_changes_nothing(marks: list[str]) -> None:
    r = report(marks)
    said = VerificationGap()(r, perfect(r))
    assert not said.kept
    assert "the round is skipped" in said.reason


def test_a_round_is_skipped_where_the_verifier_keeps_the_wrong_answers() -> None:
    r = report(["1100"] * 20)
    wrong = {t: [not f for f in flags] for t, flags in perfect(r).items()}
    assert gap_of(r, wrong).value == pytest.approx(-0.5)
    assert not VerificationGap()(r, wrong).kept


def test_a_gap_below_the_minimum_is_skipped() -> None:
    r = report(["1110"] * 20)
    assert VerificationGap(minimum_gap=0.1)(r, perfect(r)).kept
    assert not VerificationGap(minimum_gap=0.3)(r, perfect(r)).kept


def test_a_sample_that_was_not_checked_is_refused() -> None:
    r = report(["1100"])
    with pytest.raises(DataError, match="4 samples and 0"):
        gap_of(r, {})
