"""Rows as people have them: told apart, and read as a question with its gold answers."""

from __future__ import annotations

import ast
import bz2
import gzip
import json
import lzma
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.solutions.tools import calculate
from instar.acquire.tasks.asking import asked, golds_of
from instar.acquire.tasks.canonical import canonical_expression
from instar.acquire.tasks.code_jsonl import examples_in
from instar.acquire.tasks.layouts import Form, layout_of
from instar.acquire.tasks.marks import mark_of
from instar.acquire.tasks.options import NotSo, counted_from
from instar.acquire.tasks.rows import AnyRows, rows_of
from instar.acquire.tools.calls import calls_in
from instar.app.scaffold.tasks import read_tasks
from instar.errors import ConfigError, DataError
from instar.records import ToolCall

TALK = [{"from": "human", "value": "What is 1 + 1?"}, {"from": "gpt", "value": "2"}]
CHAT = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": [{"type": "text", "text": "4"}]}]  # fmt: skip
KNOWN: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "alpaca": ({"instruction": "Add.", "input": "1 + 1", "output": "2"}, "alpaca", "Add.\n\n1 + 1", "2"),
    "alpaca without input": ({"instruction": "Add one.", "input": "", "output": "2"}, "alpaca", "Add one.", "2"),
    "dolly": (
        {"instruction": "Add.", "context": "1 + 1", "response": "2", "category": "qa"}, "alpaca", "Add.\n\n1 + 1", "2",
    ),
    "sharegpt": ({"id": "7", "conversations": TALK}, "sharegpt", "What is 1 + 1?", "2"),
    "openai": ({"messages": CHAT}, "messages", "2 + 2?", "4"),
    "verl": (
        {"data_source": "x", "prompt": [{"role": "user", "content": "q"}], "reward_model": {"ground_truth": 7}},
        "verl", "q", "7",
    ),
    "verl with a target": (
        {"prompt": [{"role": "user", "content": "q"}], "reward_model": {"ground_truth": {"target": ["7", "seven"]}}},
        "verl", "q", "7",
    ),
    "mmlu": ({"question": "q", "choices": ["x", "y"], "answer": 1}, "choices", "q\nA. x\nB. y", "B"),
    "arc": (
        {"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}, "choices",
        "q\nA. x\nB. y", "B",
    ),
    "options by letter": ({"question": "q", "options": {"A": "x", "B": "y"}, "answer": "A"}, "choices",
                          "q\nA. x\nB. y", "A"),
    "options as columns": ({"question": "q", "A": "x", "B": "y", "C": "z", "answer": "C"}, "choices",
                           "q\nA. x\nB. y\nC. z", "C"),
    "the answer as a text": ({"question": "q", "choices": ["x", "y"], "answer": "y"}, "choices", "q\nA. x\nB. y", "B"),
    "options in a cell": ({"question": "q", "choices": '["x", "y"]', "answer": "0"}, "choices", "q\nA. x\nB. y", "A"),
    "text and label": ({"text": "t", "label": "spam"}, "columns", "t", "spam"),
    "a truth value": ({"question": "q", "answer": True}, "columns", "q", "yes"),
    "a number": ({"question": "q", "answer": 7.0}, "columns", "q", "7"),
    "a list": ({"question": "q", "answers": ["Rome", "Roma"]}, "columns", "q", "Rome"),
    "squad": ({"context": "c", "question": "q", "answers": {"text": ["a"], "answer_start": [3]}}, "columns", "c\n\nq",
              "a"),
    "a pair": ({"premise": "p", "hypothesis": "h", "label": "neutral"}, "columns", "p\n\nh", "neutral"),
    "chinese": ({"问题": "一加一?", "答案": "二"}, "columns", "一加一?", "二"),
    "spanish": ({"Pregunta": "p", "Respuesta": "r"}, "columns", "p", "r"),
    "german": ({"Frage": "f", "Antwort": "a"}, "columns", "f", "a"),
    "options in one text": ({"question": "q", "options": "A. x\nB. y", "answer": "B"}, "choices", "q\nA. x\nB. y", "B"),
    "options with their letters": ({"question": "q", "options": ["A) x", "B) y"], "answer": "B"}, "choices",
                                   "q\nA. x\nB. y", "B"),
    "medmcqa": ({"question": "q", "opa": "x", "opb": "y", "cop": 1}, "choices", "q\nA. x\nB. y", "B"),
    "a list in Python's form": ({"question": "q", "answer": "['Rome', 'Roma']"}, "columns", "q", "Rome"),
    "a computed number": ({"question": "q", "answer": 0.1 + 0.2}, "columns", "q", "0.3"),
    "trl": (
        {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}, "verl",
        "q", "a",
    ),
    "openai evals": ({"input": [{"role": "user", "content": "q"}], "ideal": "a"}, "verl", "q", "a"),
    "preferences": ({"prompt": "q", "chosen": "a", "rejected": "b"}, "columns", "q", "a"),
    "flan": ({"inputs": "q", "targets": "a"}, "columns", "q", "a"),
    "turns of a tool": (
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": [{}]},
                      {"role": "tool", "content": "7"}, {"role": "assistant", "content": "a"}]}, "messages", "q", "a",
    ),
    "a call as sharegpt has it": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "{}"},
                           {"from": "observation", "value": "7"}, {"from": "gpt", "value": "a"}]}, "sharegpt", "q", "a",
    ),
    "two columns with names of their own": ({"ticket no": "a long text of many words", "dept": "hr"}, "columns",
                                            "a long text of many words", "hr"),
}  # fmt: skip


@pytest.mark.parametrize("which", list(KNOWN))
def test_rows_of_each_layout_are_known_and_read_as_a_run_reads_them(which: str, tmp_path: Path) -> None:
    row, layout, question, gold = KNOWN[which]
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    found = read_tasks(path)
    assert found.form.layout == layout
    assert found.bad == ()
    one = asked(row, found.form)
    assert (one.question, one.golds[0]) == (question, gold)
    form = found.form
    source = AnyRows(
        path=str(path), layout=layout, question=form.question, answer=form.answer, choices=form.choices,
        mark=form.mark, context=form.context, first=form.first,
    )  # fmt: skip
    (task,) = source.distinct()
    assert (task.question, task.private["answer"]) == (question, gold)
    assert task.canonical in found.worked


def test_a_conversation_is_asked_with_all_that_was_said_before_its_last_answer(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"messages": CHAT}) + "\n")
    (task,) = AnyRows(path=str(path), layout="messages", question="messages").distinct()
    assert [m.role.value for m in task.messages] == ["system", "user", "assistant", "user"]
    assert "messages" not in task.private


def test_any_of_a_list_of_answers_is_kept_for_the_verifier(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "Capital of Italy?", "answer": ["Rome", "Roma"]}\n')
    (task,) = AnyRows(path=str(path)).distinct()
    assert (task.private["answer"], task.private["answers"]) == ("Rome", ["Rome", "Roma"])


@pytest.mark.parametrize(
    ("golds", "mark", "result"),
    [
        (["12 and 3 are 15.\n#### 15", "1,000 it is\n#### 1,000"], "####", "15"),
        (["so $\\boxed{\\frac{1}{2}}$", "thus \\boxed{3}"], "boxed", "\\frac{1}{2}"),
        (["We add. The answer is 4.", "No. The answer is 5."], "The answer is", "4"),
        (["First we count all of the boxes, then the rest of them, which are 12", "x" * 70 + " so there are 7."],
         "number", "12"),
        (["Paris", "The answer is 7"], "", "Paris"),
        (["[1, 2]", "[3]"], "", "[1, 2]"),
    ],
)  # fmt: skip
def test_the_result_of_a_worked_answer_is_found_after_its_mark(golds: list[str], mark: str, result: str) -> None:
    assert mark_of(golds) == mark
    assert asked({"question": "q", "answer": golds[0]}, Form(mark=mark)).golds == (result,)


@pytest.mark.parametrize(
    ("end", "result"),
    [
        ("the probability is 3/4.", "3/4"), ("it is -5", "-5"), ("it costs $1,250.50.", "1,250.50"), ("3 + 4 = 7", "7"),
        ("it is \\frac{3}{4}", "3/4"), ("the share is 75%", "75"), ("it is 2 1/2.", "5/2"),
    ],
)  # fmt: skip
def test_the_number_that_an_answer_ends_with_is_taken_whole(end: str, result: str) -> None:
    golds = [f"{'We work it out in several steps, one after the other. ' * 2}{end}"] * 3
    assert mark_of(golds) == "number"
    assert asked({"question": "q", "answer": golds[0]}, Form(mark="number")).golds == (result,)


@pytest.mark.parametrize(
    "end", ["is 10-5", "it was on 2024-03-05.", "at 12:30", "between 3 and 4", "see page x2", "5 of 7", "3 * 4"]
)
def test_of_a_number_that_an_answer_ends_with_no_part_is_taken(end: str) -> None:
    golds = [f"{'We work it out in several steps, one after the other. ' * 10}{end}"] * 3
    assert mark_of(golds) == ""
    with pytest.raises(NotSo, match=r"ends with .*no number|does not end with a number"):
        asked({"question": "q", "answer": golds[0]}, Form(mark="number"))


@pytest.mark.parametrize(
    ("options", "said", "right"),
    [
        (["Cat", "Dog"], "A Cat", "A"), (["Cat", "Dog"], "a) dog", "A"), (["Cat", "Dog"], "(b) or so", "B"),
        (["Cat", "Dog"], "b", "B"), (["Cat", "Dog"], "B - dog", "B"), ({"1": "x", "2": "y", "3": "z"}, 1, "A"),
        ({"1": "x", "2": "y", "3": "z"}, "3", "C"), ({"label": ["1", "2"], "text": ["x", "y"]}, 2.0, "B"),
        ({"0": "x", "1": "y"}, 1, "B"), ({"A": "x", "B": "y"}, 1, "B"),
    ],
)  # fmt: skip
def test_an_option_is_meant_by_its_name_first(options: Any, said: Any, right: str) -> None:
    assert asked({"question": "q", "choices": options, "answer": said}, Form("choices")).golds == (right,)


def test_options_in_columns_keep_their_letters_where_the_first_is_empty() -> None:
    row = {"question": "q", "option_a": "", "option_b": "y", "option_c": "z", "answer": "B"}
    with pytest.raises(NotSo, match="not two options"):
        asked(row, Form("choices", choices=""))
    assert asked({**row, "option_a": "x"}, Form("choices", choices="")).others["choice"] == "y"
    numbered = {"question": "q", "option1": "y", "option2": "z", "a": "no option", "answer": "B"}
    assert asked(numbered, Form("choices", choices="")).others["choice"] == "z"


def test_what_python_warns_of_in_a_text_is_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    assert golds_of(r"['\d', 'a']", "answer") == ("\\d", "a")
    assert canonical_expression("1and 2") is None
    assert calls_in(r"""[f(x="\d")]""", [], 2)[0].call == ToolCall(name="f", arguments={"x": "\\d"})
    assert calculate("1and 2").startswith("error")
    assert examples_in(">>> f('\\d')\n'\\d'\n")
    assert [str(w.message) for w in recwarn] == []


def test_objects_over_several_lines_are_read_in_time_that_grows_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(('{\n"q": "' + "x" * 80 + '"\n}\n') * 20_000)
    began = time.process_time()
    assert len(list(rows_of(path)[1])) == 20_000
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "q", "choices": ["Cat", "Dog"], "answer": "a dog"}, "none of its 2 options"),
        ({"question": "q", "choices": {"1": "x", "2": "y"}, "answer": 0}, "option 0 of 2"),
        ({"question": "q", "choices": ["x", "y"], "answer": 2}, "option 2 of 2, counted from 0"),
        ({"question": "q", "choices": ["x", "y"], "answer": "z or so"}, "none of its 2 options"),
        ({"question": "q", "choices": "x", "answer": 1}, "not two options or more"),
    ],
)
def test_a_choice_that_names_no_option_is_refused(row: dict[str, Any], says: str) -> None:
    with pytest.raises(NotSo, match=says):
        asked(row, Form("choices"))


def test_options_that_are_counted_from_one_are_told_from_those_counted_from_zero() -> None:
    rows = [{"choices": ["a", "b", "c"], "answer": n} for n in (1, 2, 3)]
    assert counted_from(rows, "answer", "choices") == 1
    assert counted_from([*rows, {"choices": ["a", "b", "c"], "answer": 0}], "answer", "choices") == 0
    assert layout_of(rows) == ("choices", "choices")


@pytest.mark.parametrize(
    ("name", "text", "n"),
    [
        ("a.json", '[{"q": 1}, {"q": 2}]', 2),
        ("b.jsonl", '[\n{"q": 1},\n{"q": 2}]', 2),
        ("c.json", '{"data": [{"q": 1}, {"q": 2}]}', 2),
        ("d.json", '{"q": [1, 2], "a": [3, 4]}', 2),
        ("e.json", '{"q": 1}\n{"q": 2}\n', 2),
        ("f.csv", "q;a\n1;2\n3;4\n", 2),
        ("g.tsv", "q\ta\n1\t2\n3\t4\n", 2),
        ("h.txt", "q,a\n1,2\n3,4\n", 2),
        ("i.jsonl", '{\n  "q": 1\n}\n{\n  "q": 2\n}\n', 2),
        ("j.json", '{"q": {"0": 1, "1": 2}, "a": {"0": 3, "1": 4}}', 2),
        ("k.json", '{"0": {"q": 1}, "1": {"q": 2}}', 2),
        ("l.csv", "sep=;\nq;a\n1;2\n3;4\n", 2),
    ],
)
def test_a_file_is_read_for_what_it_is(tmp_path: Path, name: str, text: str, n: int) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert [type(row) for _, row in rows_of(path)[1]] == [dict] * n


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_is_read_for_what_is_in_it(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(pack(b"q,a\n1,2\n3,4\n"))
    assert [row for _, row in rows_of(path)[1]] == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]
    path.write_bytes(pack(b"q,a\n1,2\n3,4\n")[:-6])
    with pytest.raises(DataError, match="cannot be unpacked"):
        rows_of(path)


def test_what_is_told_of_a_conversation_in_a_column_of_its_own_is_its_systems_text() -> None:
    row = {"system": "Be short.", "conversations": TALK}
    assert asked(row, Form("sharegpt", "conversations")).before == (("system", "Be short."),)
    assert asked({**row, "system": ""}, Form("sharegpt", "conversations")).before == ()


@pytest.mark.parametrize(
    ("data", "said", "mend"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/SHA256E-s9--4d7a.csv\n", "a git-annex pointer", "git annex get rows.csv"),
        (b"\n<!DOCTYPE html><html></html>", "a web page", "raw link"),
        (b"PK\x03\x04....", "a workbook", "CSV"),
        (b"\xff\xff\xff\xff\x10\x00", "an Arrow file", "Dataset.from_file"),
        ("q,a\n".encode("utf-16-le"), "NUL bytes: it is no text, or UTF-16LE", "iconv -f UTF-16LE -t UTF-8"),
        ("q,a\n".encode("utf-16-be"), "NUL bytes: it is no text, or UTF-16BE", "iconv -f UTF-16BE -t UTF-8"),
        ("q,a\n".encode("utf-32-le"), "NUL bytes: it is no text, or UTF-32LE", "iconv -f UTF-32LE -t UTF-8"),
        ("q,a\n".encode("utf-32-be"), "NUL bytes: it is no text, or UTF-32BE", "iconv -f UTF-32BE -t UTF-8"),
        ("q,a\nwhat is it,it\n".encode("utf-32"), "is UTF-32 text", "iconv -f UTF-32 -t UTF-8"),
        ("q,a\n".encode("utf-16")[:-1], "not whole UTF-16", "UTF-8"),
        (b"q,a\nfine,1\nab\xed\xa0\xbd,2\n", "line 3, column 3: the bytes ED A0 BD are half a character", "line 3"),
        ("q,a\nis it López,1\n".encode() + b"Jos\xe9,2\n", "line 3, column 4: the bytes E9 are no UTF-8", "line 3"),
        (b"q,a\nwhat is it,1,2\n", "line 2 has 3 cells, but the header has 2", 'quotes ("a, b")'),
        ("问题,答案\n第一个是什么,甲\n".encode("gb18030"), "not UTF-8", "iconv -f GB18030"),
        ("質問,答え\nこれは何ですか,はい\n".encode("shift_jis"), "not UTF-8", "iconv -f SHIFT_JIS"),
        ("질문,답\n이것은 무엇입니까,예\n".encode("euc-kr"), "not UTF-8", "iconv -f EUC-KR"),
        ("q,a\nOù est le café, près d'ici?,là\n".encode("cp1252"), "not UTF-8", "iconv -f WINDOWS-1252"),
    ],
)
def test_a_file_in_the_place_of_the_data_is_named_with_what_mends_it(
    tmp_path: Path, data: bytes, said: str, mend: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as refused:
        read_tasks(path)
    assert said in refused.value.message
    assert mend in refused.value.hint


def test_a_file_in_cesu_8_is_named_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "it's.csv"
    path.write_bytes(b"q,a\nwhat is \xed\xa0\xbd\xed\xb8\x80,a smile\n")
    with pytest.raises(DataError, match=r"line 2, column 9: .* it is CESU-8, not UTF-8") as refused:
        read_tasks(path)
    command = (refused.value.hint or "").removeprefix("Save it as UTF-8: ")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "utf8.csv").read_text("utf-8") == "q,a\nwhat is \U0001f600,a smile\n"


def test_a_link_that_git_annex_left_is_named_with_what_fetches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.symlink_to(".git/annex/objects/ab/SHA256E-s9--4d7a.jsonl")
    with pytest.raises(DataError, match="is a git-annex pointer"):
        read_tasks(path)


def test_a_line_with_a_comma_too_many_is_said_to_want_quotes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("question,answer\nwhat is it,1\nwell, what is it,2\n")
    (bad,) = read_tasks(path).bad
    assert bad == "line 3 has 3 cells, but the header has 2: a text that holds ',' wants double quotes around it"


def test_a_file_of_several_tables_is_refused_with_the_command_that_takes_one_out(tmp_path: Path) -> None:
    keys = ("train", """a"; touch pwned; '$(touch pwned)`touch pwned`\u0007/../b""")
    for first, second in (keys, keys[::-1]):
        path = tmp_path / "it's $(touch pwned)" / "x.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({first: [{"q": 1}], second: [{"q": 2}]}))
        with pytest.raises(DataError, match="several tables:") as refused:
            rows_of(path)
        command = (refused.value.hint or "").removeprefix("Take one out: ")
        assert command.isprintable()
        here = tmp_path / first[:1]
        here.mkdir()
        subprocess.run(command, shell=True, check=True, cwd=here)
        assert [json.loads(p.read_text()) for p in here.iterdir()] == [[{"q": 1}]]
    assert not list(tmp_path.rglob("pwned"))


def test_a_folder_that_datasets_saved_is_named_with_the_command_that_makes_a_file_of_it(tmp_path: Path) -> None:
    folder = tmp_path / """it's "$(mine)\""""
    folder.mkdir()
    (folder / "state.json").write_text("{}")
    with pytest.raises(DataError) as refused:
        read_tasks(folder)
    _, _, code = shlex.split((refused.value.hint or "").partition(", and give")[0])
    called = [ast.literal_eval(c.args[0]) for c in ast.walk(ast.parse(code)) if isinstance(c, ast.Call)]
    assert called == [f"{folder.stem}.parquet", str(folder)]


def test_a_parquet_file_is_read_too(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["one", "two"], "label": [0, 1]}), path)
    found = read_tasks(path)
    assert (found.tasks, found.form.question, found.form.answer, found.plain) == (2, "text", "label", False)


def test_a_row_that_is_not_of_the_layout_stops_a_run_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "choices": ["x", "y"], "answer": 0}\n{"question": "r", "answer": 0}\n')
    with pytest.raises(DataError, match=r"line 2: the choices are None, not two options or more"):
        AnyRows(path=str(path), layout="choices").distinct()


def test_no_column_is_advised_where_none_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"one": "a", "two": "b", "three": "c"}\n')
    with pytest.raises(ConfigError, match="Name it: --question COLUMN"):
        read_tasks(path)
