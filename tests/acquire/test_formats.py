"""Data sets as their authors publish them: all that a question needs is shown, and what is no task is refused."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.tasks.asking import asked
from instar.acquire.tasks.layouts import Form
from instar.acquire.tasks.nested import part, root, whole
from instar.acquire.tasks.options import NotSo
from instar.acquire.tasks.rows import AnyRows, rows_of
from instar.acquire.tasks.table import Table
from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.files import config_text
from instar.app.scaffold.tasks import Reading, fit, read_tasks, source_of
from instar.errors import ConfigError, DataError, InstarError

HOTPOT = {"title": ["Ann", "Bob"], "sentences": [["Ann was born.", " In Rome."], ["Bob too."]]}
STEM = {"stem": "q", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]}
AS_PUBLISHED: dict[str, tuple[dict[str, Any], str, str]] = {
    "race": ({"article": "t", "question": "q", "options": ["x", "y"], "answer": "B"}, "t\n\nq\nA. x\nB. y", "B"),
    "siqa": ({"context": "t", "question": "q", "answerA": "x", "answerB": "y", "answerC": "z", "label": "3"},
             "t\n\nq\nA. x\nB. y\nC. z", "C"),
    "logiqa": ({"context": "t", "query": "q", "options": ["x", "y"], "correct_option": 1}, "t\n\nq\nA. x\nB. y", "B"),
    "copa": ({"premise": "t", "choice1": "x", "choice2": "y", "question": "effect", "idx": 3, "label": 1},
             "t\n\neffect\nA. x\nB. y", "B"),
    "svamp": ({"ID": "1", "Body": "Each costs 19.", "Question": "How much do 19 cost?", "Equation": "19*19",
               "Answer": 361.0, "question_concat": "all"}, "Each costs 19.\n\nHow much do 19 cost?", "361"),
    "openbookqa": ({"id": "1", "question_stem": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]},
                    "answerKey": "B"}, "q\nA. x\nB. y", "B"),
    "piqa": ({"goal": "q", "sol1": "x", "sol2": "y", "label": 1}, "q\nA. x\nB. y", "B"),
    "winogrande": ({"sentence": "q", "option1": "x", "option2": "y", "answer": "2"}, "q\nA. x\nB. y", "B"),
    "hellaswag": ({"activity_label": "Swim", "ctx_a": "a", "ctx_b": "b", "ctx": "q", "endings": ["x", "y"],
                   "split": "val", "label": "1"}, "q\nA. x\nB. y", "B"),
    "reclor": ({"context": "t", "question": "q", "answers": ["x", "y"], "label": 1}, "t\n\nq\nA. x\nB. y", "B"),
    "belebele": ({"flores_passage": "t", "question": "q", "mc_answer1": "x", "mc_answer2": "y",
                  "correct_answer_num": "2"}, "t\n\nq\nA. x\nB. y", "B"),
    "options under a name of their own": ({"question": "q", "picks": ["x", "y"], "answer": "B"}, "q\nA. x\nB. y", "B"),
    "commonsenseqa's own file": ({"id": "1", "question": STEM, "answerKey": "B"}, "q\nA. x\nB. y", "B"),
    "truthfulqa": ({"question": "q", "mc1_targets": {"choices": ["x", "y"], "labels": [1, 0]},
                    "mc2_targets": {"choices": ["x", "y"], "labels": [1, 1]}}, "q\nA. x\nB. y", "A"),
    "truthfulqa, to be written": ({"type": "x", "category": "Law", "question": "q", "best_answer": "a"}, "q", "a"),
    "hotpotqa": ({"question": "q", "answer": "a", "context": HOTPOT},
                 "Ann: Ann was born. In Rome.\nBob: Bob too.\n\nq", "a"),
    "a passage in paragraphs": ({"question": "q", "answer": "a", "context": ["One.", "Two."]}, "One.\nTwo.\n\nq", "a"),
    "triviaqa": ({"question": "q", "answer": {"value": "a", "aliases": ["b", "a"], "type": "x"}}, "q", "a"),
    "squad's own answers": ({"context": "t", "question": "q", "answers": [{"text": "a", "answer_start": 0}]},
                            "t\n\nq", "a"),
    "drop": ({"passage": "t", "question": "q", "answers_spans": {"spans": ["7"], "types": ["number"]}}, "t\n\nq", "7"),
    "oasst": ({"conversation": [{"role": "prompter", "text": "q"}, {"role": "assistant", "text": "a"}]}, "q", "a"),
}  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def refused(path: Path, **named: str) -> InstarError:
    with pytest.raises((DataError, ConfigError)) as error:
        read_tasks(path, **named)
    return error.value


def as_config(found: Reading) -> Table:
    """The source that the config which ``instar init`` would write makes."""
    text = config_text(found, fit(500), recipe="rest_em", model="scripted", path=str(found.path), checks="c.py")
    (found.path.parent / "c.py").write_text("def is_right(reply, private):\n    return True\n")
    (found.path.parent / "mine.toml").write_text(text, "utf-8")
    source = plan(read(str(found.path.parent / "mine.toml"))).run.tasks
    assert isinstance(source, Table)
    return source


@pytest.mark.parametrize("which", list(AS_PUBLISHED))
def test_a_data_set_as_it_is_published_shows_all_that_its_question_needs(which: str, tmp_path: Path) -> None:
    row, question, gold = AS_PUBLISHED[which]
    found = read_tasks(write(tmp_path / "x.jsonl", [row]))
    assert found.bad == ()
    assert found.notes == ()
    for source in (source_of(found), as_config(found)):
        (task,) = source.distinct()
        assert (task.question, task.private["answer"]) == (question, gold)
        assert task.canonical in found.worked
    assert "answers" not in task.private or which == "triviaqa"  # a judge takes all of them for right


def test_a_passage_beside_options_is_one_only_where_the_source_is_told_so() -> None:
    row, form = {"context": "t", "question": "q", "choices": ["x", "y"], "answer": 0}, Form("choices")
    assert asked(row, form).question == "q\nA. x\nB. y"  # what configs that are there already make of it
    assert asked(row, form).others["context"] == "t"


def test_a_body_is_a_passage_beside_a_question_alone(tmp_path: Path) -> None:
    for beside in ("body", "abstract", "text"):
        found = read_tasks(write(tmp_path / "x.jsonl", [{"title": "t", beside: "b", "label": "spam"}]))
        assert (found.form.question, found.form.context) == (beside, "title")
    found = read_tasks(write(tmp_path / "x.jsonl", [{"title": "t", "author": "b", "label": "spam"}]))
    assert (found.form.question, found.form.context) == ("title", "")


def test_to_name_the_column_that_would_be_found_anyway_takes_no_passage_away(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{"Body": "b", "Question": "q", "Note": "n", "Answer": 1}])
    assert read_tasks(path, question="Question").form.context == "Body"
    assert read_tasks(path, question="Note").form.context == ""


def test_two_texts_that_are_compared_are_no_options(tmp_path: Path) -> None:
    rows = [{"sentence1": f"one {i}", "sentence2": f"two {i}", "label": i % 2} for i in range(6)]
    found = read_tasks(write(tmp_path / "x.jsonl", rows))
    assert (found.form.layout, found.form.context, found.notes) == ("columns", "sentence1", ())


def test_several_answers_beside_a_label_that_counts_none_of_them_stay_answers(tmp_path: Path) -> None:
    row = AS_PUBLISHED["reclor"][0]
    path = write(tmp_path / "x.jsonl", [{**row, "question": f"q {i}", "label": i % 2} for i in range(6)])
    assert read_tasks(path, answer="label").form.choices == "answers"
    assert read_tasks(path, answer="answers").form.layout == "columns"
    rows = [{"question": f"q {i}", "answers": ["Rome", "Roma"], "label": 7 + i} for i in range(6)]
    assert read_tasks(write(tmp_path / "x.jsonl", rows)).form.layout == "columns"
    tagged = [{"text": f"t {i}", "tags": ["x"] * (2 + i % 3), "label": "AB"[i % 2]} for i in range(6)]
    assert read_tasks(write(tmp_path / "x.jsonl", tagged)).form.layout == "columns"


def test_letters_whose_options_no_row_shows_are_told_aloud(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i}?", "answer": "ABC"[i % 3]} for i in range(9)]
    assert "no options A, B, ... stand in 'question'" in told_format(read_tasks(write(tmp_path / "x.jsonl", rows)))
    shown = [{**r, "question": f"{r['question']}\nA. x\nB. y\nC. z"} for r in rows]
    assert read_tasks(write(tmp_path / "x.jsonl", shown)).notes == ()


def test_numbered_columns_that_a_label_may_count_are_told_aloud_where_they_are_not_shown(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "plan1": f"x {i}", "plan2": f"y {i}", "label": i % 2} for i in range(6)]
    assert "'plan1', 'plan2' are not shown" in told_format(read_tasks(write(tmp_path / "x.jsonl", rows)))
    counts = [{**r, "plan1": i, "plan2": i + 1} for i, r in enumerate(rows)]
    assert read_tasks(write(tmp_path / "x.jsonl", counts)).notes == ()


def test_options_whose_question_nobody_can_tell_are_refused_and_not_left_out(tmp_path: Path) -> None:
    rows = [{"one": f"a {i}", "two": f"b {i}", "choices": ["x", "y"], "label": i % 2} for i in range(6)]
    path = write(tmp_path / "x.jsonl", rows)
    assert "no column that looks like the question" in refused(path).message
    assert read_tasks(path, question="two").form.layout == "choices"


def test_options_of_which_the_right_one_always_stands_first_are_put_in_another_order(tmp_path: Path) -> None:
    rows = [{"question": f"q {i}", "choices": [f"right {i}", f"wrong {i}", f"worse {i}"], "answer": 0}
            for i in range(60)]  # fmt: skip
    found = read_tasks(write(tmp_path / "x.jsonl", rows))
    assert "an order of their own" in told_format(found)
    tasks = as_config(found).distinct()
    assert {t.private["answer"] for t in tasks} == {"A", "B", "C"}
    assert all(f"{t.private['answer']}. {t.private['choice']}" in t.question for t in tasks)
    assert all(t.private["choice"].startswith("right") for t in tasks)
    assert tasks == as_config(found).distinct()
    rows[0]["answer"] = 1
    assert not read_tasks(write(tmp_path / "x.jsonl", rows)).form.mixed


def test_a_system_prompt_of_each_row_is_its_systems_text(tmp_path: Path) -> None:
    rows = [{"system_prompt": f"Be {i}.", "question": "q", "response": "a"} for i in range(2)]
    found = read_tasks(write(tmp_path / "x.jsonl", [*rows, {**rows[0], "question": "r", "system_prompt": ""}]))
    first, last = as_config(found).distinct()
    assert [(m.role.value, m.content) for m in first.messages] == [("system", "Be 0."), ("user", "q")]
    assert [m.role.value for m in last.messages] == ["user"]
    assert found.own_system
    assert "'system_prompt' is the system's text" in told_format(found)
    computers = [{"text": f"It fails, {i}.", "system": "Windows 11", "label": "bug"} for i in range(3)]
    assert read_tasks(write(tmp_path / "x.jsonl", computers)).form.system == ""


def test_a_context_that_is_no_text_is_said_to_be_left_out(tmp_path: Path) -> None:
    found = read_tasks(write(tmp_path / "x.jsonl", [{"question": "q", "answer": "a", "context": {"page": 7}}]))
    assert (found.form.context, "'context' is not shown" in told_format(found)) == ("", True)
    form = Form(context="context")
    assert asked({"question": "q", "answer": "a", "context": HOTPOT}, form).question == "q"  # as configs have it


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([["Ann", ["Born.", " In Rome."]], ["Bob", ["Too."]]], "Ann: Born. In Rome.\nBob: Too."),
        ([{"title": "Ann", "paragraph_text": "Born.", "idx": 0}], "Ann: Born."),
        ({"contexts": ["One.", "Two."], "labels": ["A", "B"], "meshes": ["x"]}, "One.\nTwo."),
        ({"page": 7}, ""), ([7], ""), (None, ""), (" a ", "a"),
    ],
)  # fmt: skip
def test_the_text_of_a_nested_column_is_all_of_it_or_nothing(value: Any, text: str) -> None:
    assert whole(value) == text


def test_a_name_with_dots_leads_into_a_nested_column_unless_a_column_is_called_so(tmp_path: Path) -> None:
    row = {"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "x.y": 3}
    assert [part(row, n) for n in ("a.b.c", "x.y", "x", "a.z")] == [1, 3, None, None]
    assert [root(row, n) for n in ("a.b.c", "x.y", "a.*", "z")] == ["a", "x.y", "a", "z"]
    path = write(tmp_path / "x.jsonl", [{"data": {"q": f"q {i}", "a": f"a {i}"}} for i in range(3)])
    assert "--question data.q --answer data.a" in (refused(path).hint or "")
    found = read_tasks(path, question="data.q", answer="data.a")
    assert next((t.question, t.private) for t in as_config(found).distinct()) == ("q 0", {"answer": "a 0"})


def test_pairs_of_preferences_are_refused_unless_they_have_a_prompt(tmp_path: Path) -> None:
    rows = [{"chosen": f"Human: {i}? Assistant: yes", "rejected": f"Human: {i}? Assistant: no"} for i in range(4)]
    assert "pairs of preferences (chosen, rejected)" in refused(write(tmp_path / "x.jsonl", rows)).message
    asks = [{"prompt": f"p {i}", **r} for i, r in enumerate(rows)]
    assert read_tasks(write(tmp_path / "x.jsonl", asks)).form.answer == "chosen"


@pytest.mark.parametrize("body", ['"A man {}\tB {}\t0\n', 'A "man" {}\t"B {}\t1\n', '"A {}" said\tB {}\t1\n'])
def test_quotes_that_nobody_closes_in_a_tsv_swallow_no_rows(tmp_path: Path, body: str) -> None:
    plain = "A {}\tB {}\t0\n"
    lines = [(body if i % 5 == 0 else plain).format(i, i) for i in range(20)]
    path = tmp_path / "x.tsv"
    path.write_text("sentence1\tsentence2\tlabel\n" + "".join(lines))
    rows = [row for _, row in rows_of(path)[1]]
    assert len(rows) == 20
    if not body.endswith("said\tB {}\t1\n"):
        assert rows[5] == dict(zip(("sentence1", "sentence2", "label"), lines[5][:-1].split("\t"), strict=True))


def test_a_cell_of_a_tsv_that_really_holds_a_line_break_or_a_tab_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('q\ta\n"two\nlines"\t1\n"a\ttab"\t"two\n\nmore"\n"he said ""hi"""\t3\n')
    assert [row for _, row in rows_of(path)[1]] == [
        {"q": "two\nlines", "a": "1"}, {"q": "a\ttab", "a": "two\n\nmore"}, {"q": 'he said "hi"', "a": "3"},
    ]  # fmt: skip


def test_a_cell_of_a_tsv_with_whole_lines_in_it_is_named_where_other_lines_do_not_fit_either(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('q\ta\tb\nx\t1\t2\n"y\t1\t2\nz\t1\t2\n"w\t1\t2\nonly one\n')
    found = dict(rows_of(path)[1])
    assert found[2] == {"q": "x", "a": "1", "b": "2"}
    assert "its quote is not closed" in str(found[3])


def test_names_of_labels_in_a_parquet_files_schema_stand_for_their_numbers(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"text": [f"t {i}" for i in range(8)], "label": [i % 2 for i in range(7)] + [-1]})
    pq.write_table(table, tmp_path / "plain.parquet")
    assert read_tasks(tmp_path / "plain.parquet").form.labels == ()
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    kept = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(kept), tmp_path / "x.parquet")
    found = read_tasks(tmp_path / "x.parquet")
    assert [t.private["answer"] for t in as_config(found).distinct()] == ["neg", "pos"] * 3 + ["neg"]
    assert "0 neg, 1 pos; 1 row is left out" in told_format(found)
    named = AnyRows(path=str(tmp_path / "x.parquet"), question="text", answer="label")
    assert named.distinct()[0].private["answer"] == "0"  # a config that is there already
    pq.write_table(table.replace_schema_metadata({b"huggingface": b"no json"}), tmp_path / "odd.parquet")
    assert read_tasks(tmp_path / "odd.parquet").form.labels == ()
    with pytest.raises(NotSo, match="the label is 2, and the labels are 0 to 1"):
        asked({"text": "t", "label": 2}, Form(question="text", answer="label", labels=("neg", "pos")))


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    def labelled(*labels: int) -> Path:
        rows = [{"premise": f"p {i}", "hypothesis": "h", "label": label} for i, label in enumerate(labels)]
        return write(tmp_path / "x.jsonl", rows)

    found = read_tasks(labelled(0, 1, 2, -1, 0))
    assert (found.rows, found.unlabelled, found.form.without, len(as_config(found).distinct())) == (4, 1, ("-1",), 4)
    assert "1 row is left out" in told_format(found)
    assert read_tasks(labelled(-1, 0, 1, 1)).unlabelled == 0  # negative, neutral, positive
    assert read_tasks(labelled(-2, -1, 0, 1, 2)).unlabelled == 0
    assert "every label" in refused(labelled(*[-1] * 30)).message
    for last, left in (("neutral", 1), ("0", 0)):
        rows = [
            {"sentence1": f"s {i}", "sentence2": "t", "gold_label": g} for i, g in enumerate(("yes", "-", "no", last))
        ]
        assert read_tasks(write(tmp_path / "x.jsonl", rows)).unlabelled == left


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("x.csv", [f"{'ham' if i % 3 else 'spam'},message number {i}" for i in range(9)], "'spam' also stands in 2"),
        (
            "x.tsv",
            [f"request\tplease do {i}" if i % 3 else f"thanks\tit is well {i}" for i in range(1, 9)],
            "'request'",
        ),
        ("x.csv", [f"What is {i}+1?,{i + 1}" for i in range(9)], "is written as those below it are"),
        ("x.csv", [f"Who wrote {a}?,{a}us" for a in ("Hamlet", "Faust", "Emma", "Iliad")], "'Who wrote Hamlet?'"),
        ("x.csv", [f"{i},{'abc'[i % 3]} {i}" for i in (17, 4, 9, 12)], "'17' is a number, as all below it are"),
    ],
)
def test_a_file_without_a_header_is_refused_before_its_first_row_is_lost(
    tmp_path: Path, name: str, lines: list[str], says: str
) -> None:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    error = refused(path)
    assert "has no header, it seems" in error.message
    assert says in error.message
    first, second = (c.strip() for c in lines[0].replace("\t", ",").split(","))
    assert read_tasks(path, question=first, answer=second).rows == len(lines) - 1  # they may be names after all


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("ticket no,dept\na long text of words,hr\nanother long text,it\na third one,hr\n", "ticket no"),
        ("text,spam\nbuy now,spam\nhello you,ham\nbuy it,spam\nsee you,ham\n", "text"),
        ("question,answer\nquestion,1\nwhat is it,2\nwhat else,3\n", "question"),
        ("0,1\nwhat is it,spam\nwhat else,ham\nand now,spam\n", "0"),
        ("What happened to your order please tell us,Team\nlost,a\nit broke,b\nlate,a\n",
         "What happened to your order please tell us"),
    ],
)  # fmt: skip
def test_a_header_that_names_its_columns_is_one(tmp_path: Path, text: str, question: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert read_tasks(path).form.question == question


@pytest.mark.parametrize(
    ("rows", "says", "hint"),
    [
        ([{"text": "a b c"}] * 3, "it has text", "Write a file with one question and one answer"),
        ([{"translation": {"de": "Haus", "en": "house"}}] * 3, "translation (a mapping of de, en)",
         "--question translation.de --answer translation.en"),
        ([{"id": "1", "tokens": ["a"], "tags": [1]}] * 3, "tokens (a list)", "Write a file with one question"),
        ([{f"q {i}?": f"a {i}" for i in range(40)}], "and 28 more", "a key a row"),
        ([{"question": "q", "answers": {"input_text": ["a"]}}], "none of the 1 rows", "one question and one answer"),
        ([{"one": "a", "two": "b", "three": "c"}] * 3, "one, two, three", "Name it: --question COLUMN"),
    ],
)  # fmt: skip
def test_what_is_advised_where_no_column_can_be_told_can_be_done(
    tmp_path: Path, rows: list[Any], says: str, hint: str
) -> None:
    error = refused(write(tmp_path / "x.json", rows))
    assert says in error.message
    assert hint in (error.hint or "")


def test_squads_own_file_is_refused_with_a_command_that_writes_its_rows_out(tmp_path: Path) -> None:
    asks = [{"id": f"{i}", "question": f"q {i}?", "answers": [{"text": "é", "answer_start": 0}]} for i in range(3)]
    asks.append({"id": "9", "question": "none?", "answers": []})
    folder = tmp_path / "it's $(touch pwned)"
    folder.mkdir()
    path = folder / "train.json"
    data = {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": "c é", "qas": asks}]}]}
    path.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    command = (refused(path).hint or "").removeprefix("Write them out: ").removesuffix(", and give rows.jsonl.")
    ast.parse(shlex.split(command)[2])
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    found = read_tasks(tmp_path / "rows.jsonl")
    assert (found.tasks, found.form.context) == (3, "context")
    assert not list(tmp_path.rglob("pwned"))


def test_an_answer_that_is_a_list_of_numbers_is_not_guessed_to_be_any_of_them(tmp_path: Path) -> None:
    def listed(column: str, *values: Any) -> Path:
        return write(tmp_path / "x.jsonl", [{"question": f"q {i}", column: v} for i, v in enumerate(values)])

    error = refused(listed("answer", [1], [17, 18, 19]))
    assert "list of numbers, [17, 18, 19]" in error.message
    assert 'call the column "answers"' in (error.hint or "")
    for column, values in (("answers", ([7, 8], [1])), ("answer", ([7], [8.0, 8])), ("answer", (["a", "b"], ["c"]))):
        assert read_tasks(listed(column, *values)).bad == ()
    assert "any one counts as right" in told_format(read_tasks(listed("answers", [7, 8])))
