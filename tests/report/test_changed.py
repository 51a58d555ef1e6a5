"""What changed sides between two exams: grouped and named by rule, quoted only where it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.records import Outcome
from instar.report.changed import CASES, TOLD, Moved, _named, changed_in, in_words
from instar.report.errors_by_kind import form_of, kind_of_error, length_of
from tests.evaluate.build import outcome


@pytest.mark.parametrize(
    ("question", "gold", "answer", "kind"),
    [
        ("17 + 25", "42", None, "no answer could be read"),
        ("17 + 25", "42", " ", "no answer could be read"),
        ("17 + 25", "42", "-42", "the sign"),
        ("17 + 25", "42", "43", "one off"),
        ("17 + 25", "42", "32", "a carry (off by a power of ten)"),
        ("1 + 2 + 149", "152", "52", "a carry (off by a power of ten)"),
        ("17 + 25", "42", "24", "digits swapped"),
        ("17 + 25", "42", "420", "a digit too many or too few"),
        ("17 + 25", "42", "425", "another operation"),
        ("25 - 17", "8", "42", "another operation"),
        ("17 + 25", "42", "17", "a number of the question"),
        ("17 + 25", "42", "99", "another number"),
        ("17 + 25", "42", "42.0", "the right number in another form"),
        ("17 + 25", "42", "forty-two apples", "not a number"),
        ("Which?", "B", "C", "another choice"),
        ("Which?", "B", "the second", "no choice"),
        ("Capital?", "Paris", "It is Paris", "the right words in another form"),
        ("Capital?", "Paris", "Rome", "other words"),
        ("Write.", None, "something", "judged wrong"),
    ],
)
def test_an_error_is_of_the_first_kind_that_fits(
    question: str, gold: str | None, answer: str | None, kind: str
) -> None:
    assert kind_of_error(question, gold, answer) == kind


def test_what_was_cut_off_before_an_answer_is_told_apart_from_what_has_none() -> None:
    assert kind_of_error("1 + 1", "2", None, "length") == "cut off before an answer"
    assert kind_of_error("1 + 1", "2", "3", "length") == "one off"
    assert kind_of_error("You are in a kitchen.", None, None, "length") == "not over in its turns or tokens"


def test_answers_have_a_form_and_questions_a_length() -> None:
    forms = [form_of(g) for g in ("7", "-7", "0.5", "3/4", "B", "yes", "Paris", None)]
    assert forms == ["whole number", "negative number", "fraction or decimal", "fraction or decimal", "choice",
                     "yes or no", "words", "no gold answer"]  # fmt: skip
    assert length_of("What is 3 + 4 + 5?") == "3 numbers"
    assert length_of("Name the capital of France.") == "up to 10 words"
    assert length_of("word " * 20) == "11 to 40 words"


def _moved(ability: str, gold: str, said: str) -> Moved:
    before: Outcome = outcome("0", [said], task=f"{ability}{gold}", ability=ability, gold=gold)
    return Moved(before, outcome("1", [gold], task=before.task, ability=ability, gold=gold), "one off", "1 + 1")


def test_a_group_is_named_by_what_most_of_it_share_and_quoted_only_where_that_is_allowed() -> None:
    own = [*(_moved("add", str(i), str(i + 1)) for i in range(5)), _moved("mul", "-3", "-2")]
    groups = _named(own, quoting=True, now=True)
    assert [g["n"] for g in groups] == [5, 1]
    assert groups[0]["name"] == "add (whole number, 2 numbers); the error was: one off"
    assert len(groups[0]["cases"]) == CASES
    assert groups[0]["cases"][0] | {"task": "", "question": ""} == {
        "task": "", "question": "", "gold": "0", "before": "1", "after": "0",
    }  # fmt: skip
    assert [g["cases"] for g in _named(own, quoting=False, now=True)] == [[], []]
    mixed = _named([_moved("add", "1", "2"), _moved("add", "-1", "0")], quoting=True, now=False)
    assert mixed[0]["name"] == "add (2 numbers); the error is: one off"


def test_of_a_run_the_gates_items_are_counted_and_the_sealed_ones_quoted(small: Path) -> None:
    found = changed_in(small)
    assert {x["suite"] for x in found} == {"gate", "sealed"}
    for x in found:
        groups = [*x["now_does"], *x["no_longer_does"]]
        assert groups
        assert all(bool(g["cases"]) is (x["suite"] == "sealed") for g in groups)
        lines = in_words(x)
        assert len(lines) <= 3 + 2 * (TOLD + 1)
        assert f"{x['n']} {x['suite']} items" in lines[0]
    sealed = found[-1]
    assert sealed["round"] is None
    assert sum(g["n"] for g in sealed["now_does"]) > sum(g["n"] for g in sealed["no_longer_does"])
