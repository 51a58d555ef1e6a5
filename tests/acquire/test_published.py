"""More data sets as they are published: the question is complete, the gold answer is the right one, or init says it."""

from __future__ import annotations

import gzip
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instar.app.scaffold.beginning import told_format, told_kind
from instar.app.scaffold.tasks import Reading, read_tasks, source_of
from instar.errors import ConfigError, DataError
from instar.extract import says

CITIES = ("Rome", "Oslo", "Lima", "Bern")


def read(folder: Path, rows: list[dict[str, Any]], **named: Any) -> Reading:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return read_tasks(path, **named)


def first(reading: Reading) -> tuple[list[str], str]:
    """What the first task shows, message by message, and its gold answer."""
    task = source_of(reading).distinct()[0]
    return [m.content for m in task.messages], str(task.private["answer"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"distractor1": "Oslo", "distractor2": "Lima", "distractor3": "Bern"},  # SciQ
        {"Incorrect Answer 1": "Oslo", "Incorrect Answer 2": "Lima", "Incorrect Answer 3": "Bern"},  # GPQA
        {"incorrect_answers": ["Oslo", "Lima", "Bern"]},  # a quiz
    ],
)
def test_wrong_options_beside_the_right_answer_are_shown_with_it_in_an_order_of_each_rows_own(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    rows = [{"question": f"Which of these is number {i}?", "correct_answer": "Rome", **wrong} for i in range(24)]
    reading = read(tmp_path, rows)
    assert (reading.form.layout, reading.found.kind, reading.bad) == ("choices", "choice", ())
    tasks = source_of(reading).distinct()
    for task in tasks:
        _, *options = task.question.splitlines()
        assert sorted(o[3:] for o in options) == sorted(CITIES)
        assert f"{task.private['answer']}. Rome" in options
    assert len({task.private["answer"] for task in tasks}) == 4


def test_a_right_answer_beside_wrong_ones_is_an_option_itself_and_names_none(tmp_path: Path) -> None:
    rows = [{"question": f"Vitamin {i}?", "correct_answer": "C", "incorrect_answers": ["A", "K"]} for i in range(9)]
    for task in source_of(read(tmp_path, rows)).distinct():
        assert f"{task.private['answer']}. C" in task.question.splitlines()


LONG = "one word after the other " * 10


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"Best Answer": "no {i}", "Incorrect Answers": "yes; at times; never"}, "no 0"),  # TruthfulQA's own CSV
        ({"answer": "no {i}", "wrong_answer": "yes; at times"}, "no 0"),
        ({"answer": "name {i}", "bad_answer": LONG}, "name 0"),
        ({"answer": LONG + "(the {i}. one).", "bad_answer": "no"}, LONG + "(the 0. one)."),
        ({"answer": "{i}", "wrong_answers": ["70", "80"]}, "0"),
        ({"answer": "{i} kg", "wrong_answers": ["70 kg", "80 kg"]}, "0 kg"),
        ({"answer": "x^{i}+1", "wrong_answers": ["x", "x-1"]}, "x^0+1"),
        ({"solution": "That makes {i} pears.\n#### {i}", "wrong_answer": "That makes more.\n#### 99"}, "0"),
    ],
)
def test_wrong_answers_in_one_text_or_long_ones_or_beside_a_result_are_no_options(
    tmp_path: Path, row: dict[str, Any], answer: str
) -> None:
    def filled(value: Any, i: int) -> Any:
        return value.replace("{i}", str(i)) if isinstance(value, str) else value

    rows = [{"question": f"q {i}", **{k: filled(v, i) for k, v in row.items()}} for i in range(24)]
    reading = read(tmp_path, rows)
    assert (reading.form.layout, reading.bad) == ("columns", ())
    assert first(reading) == (["q 0"], answer)


def test_wrong_answers_are_no_options_where_some_row_has_none(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": f"a {i}", "wrong_answer": "b" if i % 3 else None} for i in range(24)]
    reading = read(tmp_path, rows)
    assert (reading.form.layout, reading.tasks, reading.bad) == ("columns", 24, ())
    same = [{"question": f"q {i}", "answer": f"a {i % 3}", "wrong_answers": ["a 0"]} for i in range(24)]
    assert read(tmp_path, same).form.layout == "columns"


def test_a_wrong_answer_that_is_the_right_one_too_is_shown_once(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": f"a {i % 3}", "wrong_answers": ["a 0", "b"]} for i in range(24)]
    assert sorted(line[3:] for line in first(read(tmp_path, rows))[0][0].splitlines()[1:]) == ["a 0", "b"]


def test_of_two_answers_beside_wrong_ones_the_one_that_is_called_correct_is_an_option(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": LONG, "correct_answer": f"a {i}", "distractor1": "x"} for i in range(24)]
    assert read(tmp_path, rows).answer == "correct_answer"
    letters = [{**row, "answer": f"a {i}", "correct_answer": "ABC"[i % 3]} for i, row in enumerate(rows)]
    assert read(tmp_path, letters).answer == "answer"


def test_wrong_answers_are_no_options_where_the_user_names_the_answer_or_another_kind(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": f"a {i}", "distractor1": "x", "distractor2": "y"} for i in range(24)]
    assert read(tmp_path, rows).form.layout == "choices"
    assert read(tmp_path, rows, answer="answer").form.layout == "columns"
    assert read(tmp_path, rows, kind="extract").form.layout == "columns"
    assert read(tmp_path, rows, answer="answer", kind="choice").form.layout == "choices"


def test_an_instruction_keeps_its_input_where_wrong_answers_stand_beside_its_output(tmp_path: Path) -> None:
    rows = [{"instruction": f"q {i}", "input": "x", "output": f"a {i}", "wrong_answer": "b"} for i in range(24)]
    assert first(read(tmp_path, rows)) == (["q 0\n\nx"], "a 0")


def test_wrong_answers_that_are_the_right_one_too_are_no_options(tmp_path: Path) -> None:
    row = {"instruction": "q", "correct_answers": ["None"], "incorrect_answers": ["None"]}  # UltraFeedback
    assert read(tmp_path, [row, {**row, "instruction": "p"}]).form.layout == "columns"


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "answer": "7"},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "ground_truth": "7"},
        {"system": "s", "messages": [{"role": "user", "content": "q"}], "answer": "7"},
        {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}], "answer": 7},
        {"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "7"}]}],
         "systemInstruction": {"role": "system", "parts": [{"text": "s"}]}},
        {"system": [{"text": "s"}], "messages": [{"role": "user", "content": [{"text": "q"}]},
                                                 {"role": "assistant", "content": [{"text": "7"}]}]},
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
         "chosen": [{"role": "assistant", "content": "7"}], "rejected": [{"role": "assistant", "content": "8"}]},
    ],
)  # fmt: skip
def test_a_conversation_keeps_its_system_text_and_finds_its_answer_wherever_it_stands(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    reading = read(tmp_path, [row])
    assert first(reading) == (["s", "q"], "7")
    assert "reward_model'" not in told_format(reading)


def test_what_was_said_before_an_instruction_is_shown_before_it(tmp_path: Path) -> None:
    row = {"instruction": "And 2 + 2?", "input": "", "output": "4", "history": [["What is 1 + 1?", "2"]]}
    assert first(read(tmp_path, [row])) == (["What is 1 + 1?", "2", "And 2 + 2?"], "4")
    school = {"instruction": "When?", "input": "", "output": "1066", "history": "medieval"}
    assert first(read(tmp_path, [school])) == (["When?"], "1066")


def test_an_answer_column_that_is_empty_gives_way_to_one_that_is_not(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": None, "answer_number": i, "equation_solution": None} for i in range(9)]
    assert read(tmp_path, rows).answer == "answer_number"  # MGSM's test part
    options = ["(A)1", "(B)2", "(C)3"]
    rows = [{"passage": "", "question": f"q {i}", "options": options, "label": "ABC"[i % 3], "answer": None}
            for i in range(9)]  # fmt: skip
    assert first(read(tmp_path, rows)) == (["q 0\nA. 1\nB. 2\nC. 3"], "A")  # AGIEval


@pytest.mark.parametrize(
    "worked",
    [
        "Schritt-für-Schritt-Antwort: Erst sind es {i}. {i} + 6 = {n}. Die Antwort ist {n}.",
        "Step-by-Step Answer: Roger started with {i}. {i} + 6 = {n}. The answer is {n}.",
        "逐步解答：罗杰一开始有 {i} 个球。{i} + 6 = {n}。答案是 {n}。",
        "ステップごとの答え：最初に{i}個ありました。{i} + 6 = {n}。答えは{n}です。",
        "Jibu la Hatua kwa Hatua: Roger alianza na {i}. {i} + 6 = {n}. Jibu ni {n}.",
        "คำตอบแบบทีละขั้นตอน: เริ่มต้น {i} {i} + 6 = {n} คำตอบคือ {n}",
    ],
)
def test_what_a_worked_answer_ends_by_saying_goes_before_the_heading_that_it_begins_with(
    tmp_path: Path, worked: str
) -> None:
    rows = [{"question": f"q {i}", "answer": worked.format(i=i, n=i + 6)} for i in range(20)]
    reading = read(tmp_path, rows)
    assert (first(reading)[1], reading.checker) == ("6", "numeric")


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ({"statement": "q", "table_text": "a#b\n1#2", "label": 1}, "a#b\n1#2\n\nq"),  # TabFact
        ({"question": "q", "answers": ["x"], "table": {"header": ["a", "b"], "rows": [["1", "2"]], "name": "n"}},
         "a | b\n1 | 2\n\nq"),  # WikiTableQuestions
        ({"question": "q", "answer": "x", "table_array": [["a", "b"], ["1", None]]}, "a | b\n1 | \n\nq"),  # FeTaQA
        ({"question": "q", "sentence": "s", "label": "entailment"}, "s\n\nq"),  # QNLI
        ({"dialogue": ["W: hi", "M: bye"], "question": "q", "choice": ["x", "y"], "answer": "y"},
         "W: hi\nM: bye\n\nq\nA. x\nB. y"),  # DREAM
    ],
)  # fmt: skip
def test_the_table_or_talk_that_a_question_is_asked_about_stands_before_it(
    tmp_path: Path, row: dict[str, Any], seen: str
) -> None:
    assert first(read(tmp_path, [row]))[0] == [seen]


def test_names_of_labels_in_a_column_beside_their_numbers_are_the_answers(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "label": i % 2, "label_text": ("no card", "late")[i % 2]} for i in range(20)]
    assert read(tmp_path, rows).found.labels == ("late", "no card")


def test_labels_that_are_numbers_without_names_are_told_aloud(tmp_path: Path) -> None:
    few = read(tmp_path, [{"text": f"t {i}", "label": i % 4} for i in range(40)])
    many = read(tmp_path, [{"text": f"t {i}", "label": i % 77} for i in range(400)])
    for reading in (few, many):
        assert "what the labels 0, 1, 2, 3" in told_kind(reading)
    counted = read(tmp_path, [{"text": f"t {i}", "answer": i % 4} for i in range(40)])
    assert "labels" not in told_kind(counted)


def test_a_column_called_answer_that_says_the_same_in_all_rows_gives_way_to_the_label(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "label": ("bug", "ask")[i % 2], "answer": "accept"} for i in range(20)]
    assert read(tmp_path, rows).answer == "label"  # Prodigy's export
    for said, beside in ((42, "topic"), ("yes", "topic"), ("yes", "result"), (42, "label")):
        same = [{"question": f"q {i}", "answer": said, beside: ("x", "y")[i % 2]} for i in range(20)]
        assert read(tmp_path, same).answer == "answer"


def test_a_column_called_label_text_that_holds_what_is_labelled_is_not_the_answer(tmp_path: Path) -> None:
    rows = [{"label_text": f"a text, the {i}.", "label": ("bug", "ask")[i % 2]} for i in range(20)]
    assert first(read(tmp_path, rows)) == (["a text, the 0."], "bug")
    assert read(tmp_path, [{"prompt": "Which?", **row} for row in rows]).answer == "label"


def test_rows_with_several_labels_are_not_guessed_to_want_any_one_of_them(tmp_path: Path) -> None:
    rows = [{"text": f"t {i}", "labels": ["billing", "refund"][: 1 + i % 2]} for i in range(20)]
    with pytest.raises(DataError, match=r"a list of labels, .*'refund'.*whether any one of them is right or all"):
        read(tmp_path, rows)
    assert (
        read(tmp_path, [{"text": f"t {i}", "labels": [("a", "b")[i % 2]]} for i in range(20)]).found.kind == "classify"
    )


def test_answers_of_which_a_column_says_that_they_are_wrong_are_not_taken_as_gold(tmp_path: Path) -> None:
    rows = [{"question": f"q {i // 2}", "answer": f"a {i}", "label": i % 2} for i in range(20)]  # WikiQA, MultiRC
    with pytest.raises(DataError, match="10 of the 20 are wrong, and would be learned") as e:
        read(tmp_path, rows)
    assert "--answer label" in str(e.value.hint)
    assert read(tmp_path, rows, answer="label").answer == "label"
    tried = [{"question": f"q {i}", "answer": f"{i}", "generation": "x", "correct": bool(i % 2)} for i in range(20)]
    assert read(tmp_path, tried).answer == "answer"
    for said in ("output", "response", "student_response", "completion"):
        tried = [{"question": f"q {i}", "answer": f"{i}", said: "x", "correct": bool(i % 2)} for i in range(20)]
        assert read(tmp_path, tried).answer == "answer"


def test_outputs_of_instructions_of_which_a_column_says_that_they_are_wrong_are_not_taken_as_gold(
    tmp_path: Path,
) -> None:
    row = {"instruction": "q", "input": "", "output": "a"}
    with pytest.raises(DataError, match="10 of the 20 are wrong") as e:
        read(tmp_path, [{**row, "output": f"a {i}", "is_correct": bool(i % 2)} for i in range(20)])
    assert "if it says something else: --answer output" in str(e.value.hint)
    labelled = [{**row, "instruction": f"q {i}", "label": i % 2} for i in range(20)]
    assert read(tmp_path, labelled).answer == "output"


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        (
            {"prompt": "def f(x):", "entry_point": "f", "canonical_solution": "  return x", "test": "..."},
            "Name the file",
        ),
        ({"text": "Write f.", "code": "def f(x): ...", "test_list": ["assert f(1) == 1"]}, "Name the file"),
        ({"question": "Read n.", "solutions": "[]", "input_output": "{}", "starter_code": ""}, "Write each as"),
        ({"question_content": "Read n.", "public_test_cases": "[]", "private_test_cases": "x"}, "Write each as"),
        (
            {"name": "1575_A", "description": "Sort.", "public_tests": {"input": ["1"], "output": ["1"]}},
            "Write each as",
        ),
    ],
)
def test_programming_tasks_are_told_to_be_such_with_what_reads_them(
    tmp_path: Path, row: dict[str, Any], advice: str
) -> None:
    with pytest.raises(DataError, match="programming tasks with tests") as e:
        read(tmp_path, [row])
    assert advice in str(e.value.hint)
    assert "code_jsonl" in str(e.value.hint)


def test_queries_in_sql_are_programs_and_sentences_that_select_are_not(tmp_path: Path) -> None:
    for gold, kind in (
        ("SELECT a FROM t{}", "code"),
        ("select a, b from t{}", "code"),
        ("select the {} from it", "extract"),
    ):
        rows = [{"question": f"q {i}", "answer": gold.format(i)} for i in range(20)]
        assert read(tmp_path, rows).found.kind == kind


def test_a_text_of_the_system_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column that looks like"):
        read(tmp_path, [{"system": "You can call f.", "chat": f"USER: {i} ASSISTANT: {i}"} for i in range(9)])


@pytest.mark.parametrize(
    ("reply", "right"), [("Answer: 7", True), ("There are 7 apples.", True), ("Answer: 7 pears", False), ("8", False)]
)
def test_a_unit_in_brackets_is_a_unit(reply: str, right: bool) -> None:
    assert says(reply, "7 (apples)") is right


def test_what_stands_for_no_value_among_numbers_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": "NaN" if i == 3 else str(i)} for i in range(20)]
    reading = read(tmp_path, rows)
    assert (reading.tasks, reading.unlabelled, reading.checker) == (19, 1, "numeric")
    assert len(source_of(reading).distinct()) == 19
    assert "1 row is left out: the answer NaN" in told_format(reading)
    words = [{"question": f"q {i}", "answer": ("NA", "None", "EU")[i % 3]} for i in range(20)]
    assert read(tmp_path, words).unlabelled == 0


def test_a_workbooks_fault_is_named_as_no_answer(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "answer": "#N/A" if i == 3 else f"name {i}"} for i in range(20)]
    (bad,) = read(tmp_path, rows).bad
    assert bad == "line 4: the answer is '#N/A': a formula of a workbook that came to nothing"


def test_a_title_above_the_header_of_a_csv_is_told_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("Our questions,,\n,,\nquestion,answer,sort\n" + "".join(f"q {i},{i},x\n" for i in range(9)))
    with pytest.raises(DataError, match=r"begins with a title .*'Our questions'.*question, answer, sort"):
        read_tasks(path)


def test_of_several_tables_the_largest_is_advised(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"Examples": [{"q": 1}], "Instances": [{"input": f"q {i}"} for i in range(9)]}))
    with pytest.raises(DataError) as e:
        read_tasks(path)
    assert '["Instances"]' in e.value.hint


def test_turns_of_trees_are_refused_with_a_command_that_writes_questions_with_answers(tmp_path: Path) -> None:
    rows = [
        {"message_id": f"m{i}", "parent_id": None if i % 2 == 0 else f"m{i - 1}", "text": f"t {i}", "lang": "en",
         "role": ("prompter", "assistant")[i % 2], "labels": {"name": ["spam"], "value": [0.0]}}
        for i in range(20)
    ]  # fmt: skip
    with pytest.raises(DataError, match="one turn of a conversation in each row") as e:
        read(tmp_path, rows)
    command = e.value.hint[e.value.hint.index("out with their answers: ") :].partition(": ")[2].rpartition(", and")[0]
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    written = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert written[1] == {"question": "t 2", "answer": "t 3"}


def test_options_that_are_the_names_of_their_marks_are_shown(tmp_path: Path) -> None:
    rows = [{"input": f"q {i}", "target_scores": {"yes": i % 2, "no": 1 - i % 2}} for i in range(20)]
    assert first(read(tmp_path, rows)) == (["q 0\nA. yes\nB. no"], "B")  # BIG-bench
    letters = [{"input": f"q {i}", "options": {"A": 0, "B": 1}, "answer": "B"} for i in range(9)]
    assert first(read(tmp_path, letters))[0] == ["q 0\nA. 0\nB. 1"]


def test_names_with_a_0_or_a_1_each_beside_an_answer_do_not_say_which_is_right(tmp_path: Path) -> None:
    codes = [{"question": f"q {i}", "options": {"yes": 1, "no": 0}, "answer": ("no", "yes")[i % 2]} for i in range(9)]
    assert first(read(tmp_path, codes)) == (["q 0\nA. yes\nB. no"], "B")
    for options in ({"several": False, "shuffle": True}, {"several": True, "shuffle": False}):
        settings = [{"question": f"q {i}", "options": options, "answer": f"a {i}"} for i in range(9)]
        assert first(read(tmp_path, settings)) == (["q 0"], "a 0")


def test_the_same_mark_in_all_rows_of_a_file_says_nothing(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "target_scores": {"yes": 1, "no": 0}} for i in range(20)]
    with pytest.raises(ConfigError, match="no column that looks like the right one"):
        read(tmp_path, rows)


def test_rows_without_the_right_option_are_named_though_they_are_most(tmp_path: Path) -> None:
    for options in ({"choices": ["x", "y"]}, {"A": "x", "B": "y"}):
        rows = [{"question": f"q {i}", **options, "answer": None if i % 3 else "A", "topic": "t"} for i in range(24)]
        reading = read(tmp_path, rows)
        assert (reading.form.layout, reading.answer, reading.tasks, len(reading.bad)) == ("choices", "answer", 8, 16)
    called = [{"question": f"q {i}", "answers": ["x", "y"], "label": None if i % 3 else i % 2} for i in range(24)]
    assert (read(tmp_path, called).form.choices, len(read(tmp_path, called).bad)) == ("answers", 16)


def test_a_choice_without_an_answer_beside_it_is_what_was_chosen(tmp_path: Path) -> None:
    rows = [{"prompt": f"What will you have, guest {i}?", "choice": "tea; coffee"} for i in range(9)]
    assert first(read(tmp_path, rows)) == (["What will you have, guest 0?"], "tea; coffee")
    menu = [{"prompt": f"q {i}", "choice": ["tea", "coffee"], "answer": f"a {i}"} for i in range(9)]
    assert first(read(tmp_path, menu)) == (["q 0"], "a 0")


def test_questions_without_their_numbers_are_refused(tmp_path: Path) -> None:
    rows = [
        {"Question": f"Mary had N_00 cards and {'x' * i}. How many?", "Numbers": "3.0 4.0", "Answer": 7}
        for i in range(9)
    ]
    with pytest.raises(DataError, match="'N_00' where a number belongs"):
        read(tmp_path, rows)


def test_signs_that_are_written_for_a_web_page_are_told_aloud(tmp_path: Path) -> None:
    rows = [{"question": f"Who sang &quot;{i}&quot;?", "answer": f"name {i}"} for i in range(9)]
    assert "'&quot;' stands for a sign" in told_format(read(tmp_path, rows))
    assert read(tmp_path, [{"question": f"q & a {i};", "answer": "R&D;"} for i in range(9)]).notes == ()


@pytest.mark.parametrize(
    "cell",
    [
        "['red' 'green' 'blue']",
        "['red' 'green'\n 'blue']",
        """['red' "green" 'blue']""",
        "array(['red', 'green', 'blue'], dtype=object)",
        "{'text': array(['red', 'green', 'blue'], dtype=object), 'label': array(['A', 'B', 'C'], dtype='<U1')}",
    ],
)
def test_lists_as_numpy_writes_them_in_a_cell_are_lists(tmp_path: Path, cell: str) -> None:
    rows = [{"question": f"q {i}", "choices": cell, "answer": "ABC"[i % 3]} for i in range(9)]
    assert first(read(tmp_path, rows)) == (["q 0\nA. red\nB. green\nC. blue"], "A")


def test_accepted_answers_as_numpy_writes_them_are_several(tmp_path: Path) -> None:
    reading = read(tmp_path, [{"question": f"q {i}", "answers": "['Paris' 'City of Light']"} for i in range(9)])
    assert source_of(reading).distinct()[0].private["answers"] == ["Paris", "City of Light"]


def test_a_list_that_cannot_be_read_is_not_cut_into_options(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "choices": "{'text': f(red, green), 'n': 2}", "answer": "A"} for i in range(9)]
    assert read(tmp_path, rows).form.layout == "columns"


def test_an_answer_may_be_the_name_of_the_column_with_the_right_option(tmp_path: Path) -> None:
    numbered = [{"Question": f"q {i}", "Option 1": "w", "Option 2": "x", "Option 3": "y",
                 "Correct Option": f"Option {i % 3 + 1}"} for i in range(9)]  # fmt: skip
    lettered = [
        {"question": f"q {i}", "option_a": "w", "option_b": "x", "ans": f"option_{'ab'[i % 2]}"} for i in range(9)
    ]
    for rows in (numbered, lettered):
        golds = [t.private["answer"] for t in source_of(read(tmp_path, rows)).distinct()]
        assert golds[:2] == ["A", "B"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"SQLite format 3\0" + b"x" * 50, "an SQLite database"),
        (b"\x80\x04\x95" + b"x" * 50, "a pickle"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 50, "packed with zstd"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 50, "an old Office file"),
        (b"%PDF-1.7\n" + b"\xff" * 50, "a PDF document"),
        (b"train.csv" + b"\0" * 248 + b"ustar" + b"\0" * 300, "a tar archive"),
        (b"# xet version 0\nfilesize = 1234\n", "a Git Xet pointer"),
    ],
)
def test_a_file_that_is_no_text_is_called_by_what_it_is(tmp_path: Path, data: bytes, what: str) -> None:
    for name, packed in (("x.csv", data), ("x.csv.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(DataError, match=what):
            read_tasks(tmp_path / name)


def test_letters_that_were_lost_are_told_aloud(tmp_path: Path) -> None:
    for spoilt in ("Stra\u00c3\u0178e", "Stra\ufffde", "it\u00e2\u20ac\u2122s"):
        rows = [{"question": f"q {i}", "answer": f"{spoilt} {i}"} for i in range(9)]
        assert f"({spoilt!r})" in told_format(read(tmp_path, rows))
    fine = [{"question": f"O MA\u00c7\u00c3 {i}?", "answer": f"p\u00e2te \u20ac{i}"} for i in range(9)]
    assert read(tmp_path, fine).notes == ()
