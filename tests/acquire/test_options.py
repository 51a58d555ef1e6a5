"""Options as people write them down, each of which may say whether it is right: shown to the model, or refused."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.tasks.options import NotSo, options_of
from instar.acquire.tasks.rows import AnyRows
from instar.acquire.tasks.spelled import right_of
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.tasks import Reading, read_tasks, source_of
from instar.errors import DataError
from instar.records import Task
from tests.acquire.test_formats import as_config

WRONG_THEN_RIGHT: dict[str, Any] = {
    "correct": (False, True), "is_correct": (False, True), "isCorrect": ("false", "true"), "right": (0, 1),
    "score": (-1, 5), "accepted": ("no", "yes"),
}  # fmt: skip
SHOWN: dict[str, dict[str, Any]] = {
    "a key and a value": {"options": [{"key": "A", "value": "42"}, {"key": "B", "value": "41"}], "answer_idx": "B",
                          "answer": "41"},
    "a letter and an option": {"options": [{"id": "a", "option": "42"}, {"id": "b", "option": "41"}], "answer": "b"},
    "a label and a value": {"options": [{"label": "42", "value": "A"}, {"label": "41", "value": "B"}], "answer": "B"},
    "the letter as the key": {"options": [{"A": "42"}, {"B": "41"}], "answer": "B"},
    "an answer that is an option": {"options": [{"key": "A", "value": "42"}, {"key": "B", "value": "41"}],
                                    "answer": {"key": "B", "value": "41"}},
    "bars": {"options": "42|41", "answer": "41"}, "semicolons": {"options": "42; 41", "answer": "B"},
    "commas": {"choices": "42, 41", "answer": 1}, "lines": {"options": "42\n41", "answer": "41"},
    "big-bench": {"multiple_choice_targets": ["42", "41"], "multiple_choice_scores": [0, 1], "targets": ["41"]},
    "big-bench without targets": {"multiple_choice_targets": ["42", "41"], "multiple_choice_scores": [0, 1]},
    "options that say it": {"options": [{"text": "42", "correct": False}, {"text": "41", "correct": True}]},
    "the right one alone says it": {"options": [{"text": "42"}, {"text": "41", "correct": True}]},
    "lists side by side": {"answers": {"text": ["42", "41"], "correct": [False, True]}},
    "options by letter that say it": {"options": {"A": {"text": "42", "right": 0}, "B": {"text": "41", "right": 1}}},
}  # fmt: skip


def read(tmp_path: Path, *rows: dict[str, Any]) -> Reading:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return read_tasks(path)


def one(found: Reading) -> Task:
    assert found.bad == ()
    return source_of(found).distinct()[0]


@pytest.mark.parametrize("mark", WRONG_THEN_RIGHT)
def test_of_answers_that_are_marked_the_right_one_alone_counts(mark: str, tmp_path: Path) -> None:
    wrong, right = WRONG_THEN_RIGHT[mark]
    answers = [{"text": "42", mark: wrong}, {"text": "41", mark: right}, {"text": "39", mark: wrong}]
    task = one(read(tmp_path, {"question": "What is 10 + 31?", "answers": answers}))
    assert task.question == "What is 10 + 31?\nA. 42\nB. 41\nC. 39"
    assert (task.private["answer"], task.private["choice"], "answers" in task.private) == ("B", "41", False)


@pytest.mark.parametrize("which", SHOWN)
def test_options_are_shown_however_they_are_written_down(which: str, tmp_path: Path) -> None:
    task = one(read(tmp_path, {"question": "What is 10 + 31?", **SHOWN[which]}))
    assert (task.question, task.private["answer"]) == ("What is 10 + 31?\nA. 42\nB. 41", "B")


def test_where_several_answers_are_marked_as_right_any_of_them_counts_and_no_other(tmp_path: Path) -> None:
    answers = [{"text": t, "correct": t != "Bonn"} for t in ("Berlin", "Bonn", "berlin")]
    task = one(read(tmp_path, {"question": "The capital of Germany?", "answers": answers}))
    assert (task.private["answer"], task.private["answers"]) == ("Berlin", ["Berlin", "berlin"])


def test_marks_that_do_not_say_which_answer_is_right_are_refused(tmp_path: Path) -> None:
    for marks, why in (((0, 0), "none of its 2 answers is marked as right"), ((12, 3), "several scores above 0")):
        answers = [{"text": t, "score": s} for t, s in zip("xy", marks, strict=True)]
        with pytest.raises(DataError, match=why):
            read(tmp_path, {"question": "q", "answers": answers})
    right = {"question": "q", "answers": [{"text": "x", "correct": True}, {"text": "y", "correct": False}]}
    both = {"question": "r", "answers": [{"text": "x", "correct": True}, {"text": "y", "correct": True}]}
    (bad,) = read(tmp_path, right, right, both).bad
    assert "line 3: 2 of its 2 options are marked as right" in bad


def test_scores_of_passages_beside_an_answer_are_no_marks_of_options(tmp_path: Path) -> None:
    passages = [{"text": "one", "score": 1}, {"text": "two", "score": 0}]
    found = read(tmp_path, {"question": "q", "contexts": passages, "answer": "a"})
    assert (found.form.layout, found.form.answer) == ("columns", "answer")


def test_options_that_nobody_can_read_are_said_to_be_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, {"question": "q", "options": [{"x": [1]}, {"y": [2]}], "answer": "a"})
    assert "'options' is not shown: no options are told in it" in told_format(found)


def test_a_list_in_a_column_called_answers_is_kept_for_the_verifier_too(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "Capital of Italy?", "answers": ["Rome", "Roma"]}\n')
    (task,) = AnyRows(path=str(path), answer="answers").distinct()
    assert (task.private["answer"], task.private["answers"]) == ("Rome", ["Rome", "Roma"])


@pytest.mark.parametrize(("first", "parted"), [(0, "\n"), (1, "\n"), (0, "  "), (1, "  ")])
def test_a_number_of_an_option_in_the_question_is_its_letter(first: int, parted: str, tmp_path: Path) -> None:
    listed = parted.join(f"{letter}. {n}" for letter, n in zip("ABCD", (42, 41, 39, 51), strict=True))
    rows = [{"question": f"What is 10 + 31 + {i}?\n{listed}", "answer": first + i % 4} for i in range(12)]
    found = read(tmp_path, *rows)
    assert [t.private["answer"] for t in source_of(found).distinct()] == list("ABCD") * 3
    assert f"the labels' numbers stand for {first} A" in told_format(found)
    assert [t.private["answer"] for t in as_config(found).distinct()] == list("ABCD") * 3


def test_a_number_that_may_be_that_of_either_of_two_options_is_refused(tmp_path: Path) -> None:
    rows = [{"question": f"What is 9 + {i}?\nA. 42\nB. 41\nC. 39\nD. 51", "answer": 1 + i % 2} for i in range(12)]
    with pytest.raises(DataError, match="whether 1 means A or B, no row tells"):
        read(tmp_path, *rows)


def test_a_number_that_an_option_says_is_the_answer_itself(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + 0?\nA. {i}\nB. {i + 1}", "answer": i} for i in range(3)]
    found = read(tmp_path, *rows)
    assert [t.private["answer"] for t in source_of(found).distinct()] == ["0", "1", "2"]


def test_a_list_of_answers_that_all_count_is_no_multiple_choice(tmp_path: Path) -> None:
    found = read(tmp_path, {"question": "Who?", "possible_answers": '["politician", "political leader"]'})
    assert one(found).private["answers"] == ["politician", "political leader"]


def test_a_text_with_commas_is_no_list_of_options_where_none_of_them_is_the_answer(tmp_path: Path) -> None:
    found = read(tmp_path, *({"question": f"q {i}", "options": "cheese, large", "answer": f"{i}.5"} for i in range(9)))
    assert (found.form.layout, found.bad) == ("columns", ())
    assert "'options' is not shown: none of its options is the answer" in told_format(found)


@pytest.mark.parametrize(
    "option",
    [{"option": "A", "option_text": "Rome"}, {"option": "A", "answer": "Rome"}, {"choice": "A", "body": "Rome"},
     {"label": "Rome", "value": 1}, {"option": "Rome", "value": 1}],
)  # fmt: skip
def test_an_options_letter_or_number_is_not_taken_for_what_it_says(option: dict[str, Any]) -> None:
    other = {k: {"A": "B", "Rome": "Paris", 1: 2}[v] for k, v in option.items()}
    assert [text for _, text in options_of([option, other]) or ()] == ["Rome", "Paris"]


def test_that_an_answer_is_accepted_goes_before_the_votes_for_it() -> None:
    assert right_of([{"text": "a", "score": 5, "is_accepted": True}, {"text": "b", "score": 3, "is_accepted": 0}]) == [
        1,
        0,
    ]
    with pytest.raises(NotSo, match="several scores"):
        right_of([{"text": "a", "score": 0.9}, {"text": "b", "score": 0.1}])
    letters = [{"text": c} for c in string.ascii_uppercase]
    assert options_of([*letters, {"text": "more"}]) is None
