"""What was read rightly before more published files were readable is read the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from instar.acquire.tasks.cells import parsed
from instar.acquire.tasks.marks import mark_of, result
from instar.acquire.tasks.nested import whole
from instar.acquire.tasks.table import refuse_stand_in
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.kinds import kind_of
from instar.app.scaffold.tasks import source_of
from instar.errors import DataError
from tests.acquire.reading import golds, read, read_csv


def kind(golds: list[str]) -> str:
    return kind_of([f"q {i}" for i in range(len(golds))], golds, "answer").kind


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gold",
    [
        "{} waited\n    for the morning\n    while it rained",
        "rule {}\n  for the purposes of this section:\n  if the court so orders",
        "1. go to {}\n   if x then y\n   return to step 2",
        "{} no more\n   return no more;",
        " for you and {}",
        " if it rains in {}",
        " return the book(s) of {}",
        "select river, garden {}",
    ],
)
def test_indented_prose_is_no_program(gold: str) -> None:
    assert kind([gold.format(f"name {i}") for i in range(30)]) == "extract"


@pytest.mark.parametrize(
    "gold",
    [
        "    for i in range({}):\n        x += i",
        "    if x > {}:\n        y = 1",
        "    while (x < {}) {{\n    x++; }}",
        "    return x + {}",
        "    return sorted(x)[:{}]",
        "  for (int i = 0; i < {}; i++) {{",
        "select river, garden\nfrom land where id = {}",
        "select distinct a from t where id = {}",
    ],
)
def test_the_lines_of_a_program_are_one(gold: str) -> None:
    assert kind([gold.format(i) for i in range(30)]) == "code"


def test_a_gold_of_line_breaks_takes_no_time() -> None:
    began = time.process_time()
    kind(["a" + "\n" * 200_000 + "b", "c"])
    mark_of(["\n" * 200_000 + "Answer: 7", "Answer: 8"])
    assert time.process_time() - began < 5


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "37 (note that the answer is rounded)",
        "no, because the answer is in the text",
        "velvet. This answer is supported by the text",
        "B. The correct answer is tiger since it has stripes",
        "cloud (the correct answer is not velvet)",
        "37, since the answer is 37.2",
        "velvet (the answer is 7)",
    ],
)
def test_a_sentence_about_the_answer_does_not_outbid_the_answer_before_it(said: str) -> None:
    text = f"It is so.\nAnswer: {said}."
    assert mark_of([text] * 9) == "any"
    assert result(text, "answer", "any") == said


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Step-by-Step Answer: Roger had 5 balls. 2 cans of 3 are 6. 5 + 6 = 11. The answer is 11.", "11"),
        ("Step-by-Step Answer: First, he had 5 balls. The answer is 11.", "11"),
        ("Answer: 5 - 3 = 2 balls. The answer is 2.", "2"),
        ("Jibu la Hatua kwa Hatua: Roger alianza na mipira 5. 5 + 6 = 11. Jibu ni 11.", "11"),
        ("ステップごとの答え:ロジャーは最初に5個のボールがありました。5 + 6 = 11。答えは11です。", "11"),
    ],
)
def test_the_number_that_a_worked_answer_ends_with_is_its_result(text: str, right: str) -> None:
    assert result(text, "answer", "any") == right


# --- conversations ----------------------------------------------------------------------------------------------------


def talk(i: int, *more: str) -> list[dict[str, str]]:
    said = (f"q {i}", f"name {i}", *more)
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(said)]


@pytest.mark.parametrize("column", ["topic", "category", "result", "section", "label"])
@pytest.mark.parametrize("thanked", [0.5, 0.6, 1.0])
def test_a_column_that_sorts_conversations_is_not_their_answer(tmp_path: Path, column: str, thanked: float) -> None:
    rows = [
        {"conversations": talk(i, *(["thanks"] if i % 10 < 10 * thanked else [])), column: ("a", "b")[i % 2]}
        for i in range(60)
    ]
    reading = read(tmp_path, rows)
    assert (reading.form.layout, reading.bad) == ("sharegpt", ())
    assert golds(reading) == {f"name {i}" for i in range(60)}


def test_a_conversation_that_ends_with_its_question_has_its_answer_beside_it(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"q {i}"}], "answer": f"name {i}"} for i in range(20)]
    reading = read(tmp_path, rows)
    assert golds(reading) == {f"name {i}" for i in range(20)}
    assert "reward_model" not in told_format(reading)
    later = [{"conversations": talk(i, f"and {i}?"), "answer": f"other {i}"} for i in range(20)]
    assert golds(read(tmp_path, later)) == {f"other {i}" for i in range(20)}


# --- cells ------------------------------------------------------------------------------------------------------------


def test_what_numpy_writes_is_a_text_inside_of_one(tmp_path: Path) -> None:
    assert parsed("[\"He said 'go' 'now'\", 'so']") == ["He said 'go' 'now'", "so"]
    assert parsed("['a' 'b']") == ["a", "b"]
    assert parsed("['one long ' 'text', 'b']") == ["one long text", "b"]
    assert parsed("[('x', ['y']), array(['z'])]") == [("x", ["y"]), ["z"]]
    options = "['array([1, 0])', 'array([2, 0])']"
    rows = [{"question": f"q {i}", "choices": options, "answer": "array([2, 0])"} for i in range(9)]
    reading = read_csv(tmp_path, rows)
    assert (reading.form.layout, golds(reading), reading.bad) == ("choices", {"B"}, ())


@pytest.mark.parametrize(
    "text",
    ["[" + "array([1 " * 8_000, "[" + "array(['a'], dtype=x" * 4_000, "['\\" * 8_000, "['" + "\\'" * 30_000,
     "['a' " * 15_000, "[''" + "]   ,  dtype= " * 6_000],
)  # fmt: skip
def test_no_cell_takes_long(text: str) -> None:
    began = time.process_time()
    assert parsed(text) == text
    assert time.process_time() - began < 0.5


def test_a_header_without_rows_is_no_table() -> None:
    for rows in (None, 5, "x"):
        assert whole({"header": ["a", "b"], "rows": rows}) == ""
    assert whole({"header": ["a", "b"], "rows": [["1", "2"]]}) == "a | b\n1 | 2"


def test_the_number_of_a_table_is_not_shown_before_the_question(tmp_path: Path) -> None:
    rows = [{"table": i % 5, "question": f"q {i}", "answer": f"name {i}"} for i in range(20)]
    tasks = source_of(read_csv(tmp_path, rows)).distinct()
    assert (tasks[3].question, tasks[3].private["table"]) == ("q 3", "3")
    rows = [{"table": f"a | b\n1 | {i}", "question": f"q {i}", "answer": f"name {i}"} for i in range(20)]
    assert source_of(read(tmp_path, rows)).distinct()[0].question == "a | b\n1 | 0\n\nq 0"


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_question_with_numbers_of_its_own_may_name_them(tmp_path: Path) -> None:
    asks = "Let number1 = {0} and number2 = 4. What is number1 + number2?"
    assert not read(tmp_path, [{"question": asks.format(i), "answer": i + 4} for i in range(20)]).bad


def test_what_a_workbook_shows_may_be_the_answer(tmp_path: Path) -> None:
    shown = ("#N/A", "#REF!", "#VALUE!")
    rows = [{"question": f"Which error has the cell B{i}?", "answer": shown[i % 3]} for i in range(30)]
    reading = read(tmp_path, rows)
    assert (reading.bad, golds(reading)) == ((), set(shown))


def test_a_few_rows_with_two_labels_are_read_and_more_are_refused_with_a_way_out(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "intent": ["pay", "refund"] if i == 7 else ["pay", "refund"][i % 2]} for i in range(60)]
    assert read(tmp_path, rows).tasks == 60
    rows = [{"text": f"t {i}", "intent": ["pay", "refund"][: 1 + i % 2]} for i in range(60)]
    with pytest.raises(DataError, match=r"in 30 of 60 rows 'intent' is a list of labels") as e:
        read(tmp_path, rows)
    assert "leave such rows out" in e.value.hint


def test_a_label_that_is_written_as_a_list_of_numbers_is_one(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "label": ("[1, 2]", "[2, 3]")[i % 2]} for i in range(40)]
    assert golds(read_csv(tmp_path, rows)) == {"[1, 2]", "[2, 3]"}


@pytest.mark.parametrize("start", ["Rar!,answer\n", "%PDF-files,answer\n"])
def test_a_csv_may_begin_as_an_archive_does(start: str) -> None:
    refuse_stand_in(Path("rows.csv"), start.encode())
    for real in (b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00", b"%PDF-1.7\n", b"%PDF-2.0\n"):
        with pytest.raises(DataError):
            refuse_stand_in(Path("rows"), real)
