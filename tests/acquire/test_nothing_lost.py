"""What a user's file holds is read whole: nothing of a row is dropped, cut or refused without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.acquire.tasks.marks import mark_of, result
from instar.acquire.tasks.options import options_of
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.kinds import kind_of
from instar.app.scaffold.tasks import read_tasks, source_of
from instar.errors import DataError
from tests.acquire.reading import golds, read, read_csv

SAID = [["Tell me of France.", "It is a country."]]


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
    rows = [{"question": f"who is {i}", "answer": f"name {i % 4}", "is_correct": i % 2} for i in range(30)]
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


# --- names of labels --------------------------------------------------------------------------------------------------


def test_labels_of_which_one_has_no_name_in_any_row_are_read_by_their_numbers(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "label": i % 3, "label_name": ("", "good", "bad")[i % 3]} for i in range(60)]
    reading = read_csv(tmp_path, rows)
    assert (reading.bad, golds(reading)) == ((), {"0", "1", "2"})


def test_names_of_labels_stay_the_answer_where_a_row_has_neither_name_nor_number(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "label": i % 3, "label_name": ("so", "good", "bad")[i % 3]} for i in range(60)]
    rows[7].update(label="", label_name="")
    reading = read_csv(tmp_path, rows)
    assert (reading.answer, len(reading.bad)) == ("label_name", 1)


# --- programs ---------------------------------------------------------------------------------------------------------


def kind(gold: str) -> str:
    golds = [gold.format(f"name_{i}") for i in range(30)]
    return kind_of([f"q {i}" for i in range(30)], golds, "answer").kind


@pytest.mark.parametrize(
    "gold",
    [
        "The night of {}\n  while stars are falling:\n  for all in sight, I sing",
        "Take {} with you,\n  if it rains:\n  if it snows:\nand be glad",
        "SELECT {}",
        "SELECT the {} in the list",
    ],
)
def test_indented_verse_and_words_in_capitals_are_no_programs(gold: str) -> None:
    assert kind(gold) == "extract"


@pytest.mark.parametrize(
    "gold",
    [
        "    while {}:\n        x += 1",
        "    for y in {}:\n        print(y)",
        "    if {}:\n        return x",
        "    if {} {{\n        go\n    }}",
        "SELECT {} FROM t",
        "SELECT a, b\nFROM {}",
        "SELECT * from {}",
        "SELECT DISTINCT {} FROM t",
    ],
)
def test_blocks_with_something_else_of_a_program_and_whole_queries_are_programs(gold: str) -> None:
    assert kind(gold) == "code"


# --- options in one text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a ) 1,200 , b ) 2,400 , c ) 3,600", ["1,200", "2,400", "3,600"]),  # MathQA
        ("a) Paris, France, b) Rome, Italy", ["Paris, France", "Rome, Italy"]),
        ("a) red b) blue", ["red", "blue"]),
        ("(a) red (b) blue", ["red", "blue"]),
        ("A．北京  B．上海", ["北京", "上海"]),  # noqa: RUF001 - the wide dot is what is read
        ("A：北京 B：上海", ["北京", "上海"]),
        ("A. vitamin a. B. vitamin b.", ["vitamin a.", "vitamin b."]),
    ],
)
def test_options_after_letters_in_one_text_are_read_whole(text: str, texts: list[str]) -> None:
    assert options_of(text) == list(zip("ABC", texts, strict=False))


@pytest.mark.parametrize("text", ["b) red a) blue", "a) red B) blue", "we say a) red b) blue", "a) red c) blue", "a)"])
def test_letters_out_of_order_of_two_cases_or_inside_a_text_part_no_options(text: str) -> None:
    assert options_of(text) is None


def test_the_right_one_of_mathqas_options_is_the_one_that_its_letter_names(tmp_path: Path) -> None:
    told = "a ) 1,200 , b ) 2,400 , c ) 3,600"
    rows = [{"Problem": f"What is {i} times x?", "options": told, "correct": "abc"[i % 3]} for i in range(30)]
    task = source_of(read(tmp_path, rows)).distinct()[1]
    assert task.question.splitlines()[1:] == ["A. 1,200", "B. 2,400", "C. 3,600"]
    assert (task.private["answer"], task.private["choice"]) == ("B", "2,400")


# --- results with a reason --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("B. Because it is Paris.", "B"),
        ("(C). Since it is Paris.", "(C)"),
        ("yes. Because it is Paris.", "yes"),
        ("False. It is Paris.", "False"),
        ("B. Paris.", "B. Paris"),  # the option's own text
        ("J. Smith wrote it.", "J. Smith wrote it"),
        ("No. 7.", "No. 7"),
        ("Paris. Because it is so.", "Paris. Because it is so"),
    ],
)
def test_the_reason_after_a_letter_or_a_yes_is_no_part_of_the_answer(said: str, gold: str) -> None:
    text = f"We look at the map.\nAnswer: {said}"
    assert result(text, "answer", mark_of([text] * 9)) == gold


# --- labels of two texts ----------------------------------------------------------------------------------------------


def test_the_evidence_for_a_claim_is_shown_before_it(tmp_path: Path) -> None:
    rows = [{"claim": f"c {i}", "evidence": f"e {i}", "label": ("so", "not so")[i % 2]} for i in range(30)]
    assert source_of(read(tmp_path, rows)).distinct()[0].question == "e 0\n\nc 0"


def test_the_evidence_for_an_answer_would_tell_it_and_is_not_shown(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "evidence": f"It is a{i}.", "answer": f"a{i}"} for i in range(30)]
    assert source_of(read(tmp_path, rows)).distinct()[0].question == "q 0"


@pytest.mark.parametrize(
    ("asks", "said"), [("prompt", "response"), ("question", "student_answer"), ("prompt", "completion")]
)
def test_a_reply_that_a_label_judges_and_no_question_shows_is_named(tmp_path: Path, asks: str, said: str) -> None:
    rows = [{asks: f"q {i}", said: f"r {i}", "label": ("good", "bad")[i % 2]} for i in range(30)]
    reading = read(tmp_path, rows)
    assert reading.answer == "label"
    assert f"{said!r} is not shown" in told_format(reading)


def test_another_name_of_the_label_is_no_reply_that_it_judges(tmp_path: Path) -> None:
    rows = [{"text": f"q {i}", "completion": (" good", " bad")[i % 2], "label": i % 2} for i in range(30)]
    assert "is not shown" not in told_format(read(tmp_path, rows))


# --- tables in Markdown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", ["|", ""])
def test_the_rules_of_a_table_in_markdown_are_no_row_and_its_cells_have_no_blanks(tmp_path: Path, edge: str) -> None:
    lines = ["question | answer", ":--- | ---", *(f'What is "{i}"? | a {i}' for i in range(5)), "- | -"]
    path = tmp_path / "a.md"
    path.write_text("".join(f"{edge} {line} {edge}\n" for line in lines), "utf-8")
    reading = read_tasks(path)
    tasks = source_of(reading).distinct()
    assert (reading.bad, tasks[0].question, tasks[0].private["answer"]) == ((), 'What is "0"?', "a 0")
    assert [t.question for t in tasks[5:]] == ["-"]


def test_a_file_of_cells_between_strokes_without_rules_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question|answer\n" + "".join(f"q {i}| a {i}\n" for i in range(5)) + "-|-\n", "utf-8")
    assert golds(read_tasks(path)) == {"-", *(f" a {i}" for i in range(5))}
