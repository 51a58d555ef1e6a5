"""What a user's file holds is read whole: nothing of a row is dropped, cut or refused without a word."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.tasks import Reading, read_tasks, source_of
from instar.errors import DataError

SAID = [["Tell me of France.", "It is a country."]]


def read(folder: Path, rows: list[dict[str, Any]], **named: Any) -> Reading:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return read_tasks(path, **named)


def read_csv(folder: Path, rows: list[dict[str, Any]]) -> Reading:
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return read_tasks(path)


def golds(reading: Reading) -> set[str]:
    return {str(task.private["answer"]) for task in source_of(reading).distinct()}


# --- what was said before ---------------------------------------------------------------------------------------------


def test_what_was_said_before_a_question_in_history_is_shown_by_the_run_and_told(tmp_path: Path) -> None:
    row = {"question": "And what is its capital?", "answer": "Paris"}
    reading = read(tmp_path, [{**row, "history": [[f"Tell me of France ({i})", "Well."]]} for i in range(60)])
    tasks = source_of(reading).distinct()
    assert (reading.tasks, len(tasks)) == (60, 60)
    assert [m.content for m in tasks[0].messages] == ["Tell me of France (0)", "Well.", "And what is its capital?"]
    assert "what was said in 'history' goes before the question" in told_format(reading)


def test_rows_without_anything_in_their_history_are_read_as_they_were(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1), "history": []} for i in range(20)]
    reading = read(tmp_path, rows)
    assert reading.plain
    assert "history" not in told_format(reading)


# --- numbers of labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("no", "yes"), ("negative", "positive")])
def test_the_number_of_a_label_beside_its_word_marks_no_answer_as_wrong(tmp_path: Path, words: tuple[str, ...]) -> None:
    of_passage = [{"question": f"is {i} so", "passage": f"P {i}", "answer": words[i % 2], "label": i % 2}
                  for i in range(20)]  # fmt: skip
    assert golds(read_csv(tmp_path, of_passage)) == set(words)
    of_text = [{"text": f"t {i}", "output": words[i % 2], "label": i % 2} for i in range(20)]
    assert golds(read_csv(tmp_path, of_text)) == set(words)


def test_a_mark_that_says_of_the_same_word_that_it_is_right_and_wrong_is_refused(tmp_path: Path) -> None:
    rows = [{"question": f"is {i} so", "answer": ("no", "yes")[i % 2], "label": i % 3 % 2} for i in range(30)]
    with pytest.raises(DataError, match="would be learned"):
        read(tmp_path, rows)


def test_a_mark_of_answers_that_are_each_another_is_refused(tmp_path: Path) -> None:
    rows = [{"question": f"who is {i}", "answer": f"name {i}", "label": i % 2} for i in range(30)]
    with pytest.raises(DataError, match="would be learned"):
        read(tmp_path, rows)


# --- wrong options ----------------------------------------------------------------------------------------------------


def test_wrong_options_of_which_the_first_has_no_number_are_all_shown(tmp_path: Path) -> None:
    wrong = {"wrong_answer": "Oslo", "wrong_answer2": "Lima", "wrong_answer3": "Bern"}
    rows = [{"question": f"Which is number {i}?", "correct_answer": "Rome", **wrong} for i in range(24)]
    for task in source_of(read_csv(tmp_path, rows)).distinct():
        assert sorted(o[3:] for o in task.question.splitlines()[1:]) == ["Bern", "Lima", "Oslo", "Rome"]


def test_one_column_of_wrong_options_is_that_one_whatever_else_has_a_number(tmp_path: Path) -> None:
    row = {"correct_answer": "Rome", "wrong_answer": "Oslo", "note2": "Lima"}
    reading = read(tmp_path, [{"question": f"Which is number {i}?", **row} for i in range(24)])
    assert reading.form.choices == "+wrong_answer"
