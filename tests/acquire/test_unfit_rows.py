"""Rows that no task can hold, and files that are none: named with line and column, before a token is spent."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.feedback.checkers import check_all
from instar.acquire.tasks.code_jsonl import CodeJsonl
from instar.acquire.tasks.csv_file import Csv
from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.sets import prove_storable
from instar.acquire.tasks.table import Table, answered_twice, reachable
from instar.app.scaffold.tasks import read_tasks
from instar.errors import DataError
from instar.records import Message, Role, Task

SEEDS = {"train": 1}
FINE = '{"question": "What is 1 + 1?", "answer": "2"}\n'
UNFIT = {
    '{"question": "half \\ud83d", "answer": "2"}': ("question", "half a character, \\ud83d (at character 6)"),
    '{"question": "q", "answer": "\\udc00"}': ("answer", "half a character"),
    '{"question": "q", "answer": "2", "note": ["a", {"b": "\\ud83d"}]}': ("note", "half a character"),
    '{"question": "q", "answer": "2", "x\\ud83d": 1}': ("x", "half a character"),
    '{"question": "a\\u0000b", "answer": "2"}': ("question", "a NUL (at character 2)"),
    '{"question": "q", "answer": "2", "x": 1e999}': ("x", "a number too large to be read (beyond 1.8e+308)"),
    '{"question": "q", "answer": "2", "x": ' + "[" * 900 + "]" * 900 + "}": ("x", "nested deeper than 150"),
    '{"question": "q", "answer": "1", "answer": "2"}': ("answer", "stands twice"),
    '{"question": "q", "answer": "2", "x": {"a": 1, "a": 1}}': ("a", "stands twice"),
    '{"question": "q", "answer": "2", "x": ' + "9" * 6000 + "}": ("", "is not JSON"),
    '{"question": "q", "answer": "2", "x": ' + "[" * 100_000 + "]" * 100_000 + "}": ("", "is not JSON"),
}


def refused(table: Table) -> str:
    with pytest.raises(DataError) as error:
        table({"train": 1}, SEEDS)
    str(error.value).encode()
    return str(error.value)


@pytest.mark.parametrize("line", UNFIT, ids=range(len(UNFIT)))
def test_a_row_of_jsonl_that_no_task_can_hold_is_named_by_run_and_by_init(tmp_path: Path, line: str) -> None:
    column, why = UNFIT[line]
    path = tmp_path / "mine.jsonl"
    path.write_text(FINE + "\n" + line + "\n")
    said = refused(Jsonl(path=str(path)))
    assert "line 3" in said
    assert column in said
    assert why in said
    (bad,) = read_tasks(path).bad
    assert bad.startswith("line 3")
    assert column in bad
    assert why in bad
    bad.encode("ascii", "backslashreplace")


def test_a_row_of_code_that_no_task_can_hold_is_named(tmp_path: Path) -> None:
    path = tmp_path / "code.jsonl"
    for more, why in (('"question": "q \\ud83d"', "half a character"), ('"question": "q", "question": "r"', "twice")):
        path.write_text('{"tests": {"hidden": ["assert f(1)"]}, ' + more + "}\n")
        said = refused(CodeJsonl(path=str(path)))
        assert "line 1" in said
        assert why in said


def test_half_an_emoji_in_a_csv_is_named_whatever_the_encoding_lets_through(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(b"question,answer\nfine,1\nhalf +2D0- here,2\n")
    said = refused(Csv(path=str(path), encoding="utf-7"))
    assert "line 3, column 'question': it holds half a character, \\ud83d (at character 6)" in said
    path.write_bytes(b"question,answer\nfine,1\na\\ud83d,2\n")
    assert "line 3, column 'question'" in refused(Csv(path=str(path), encoding="unicode_escape"))
    path.write_text("question,answer\nfine,1\na\0b,2\n")
    assert "line 3" in (said := refused(Csv(path=str(path))))
    assert "NUL" in said


def test_text_that_is_not_utf8_in_a_parquet_file_is_named_with_row_and_column(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from instar.acquire.tasks.parquet import Parquet

    texts = pa.array([b"fine", b"half \xed\xa0\xbd"]).view(pa.string())
    parquet.write_table(pa.table({"answer": ["1", "2"], "question": texts}), tmp_path / "mine.parquet")
    said = refused(Parquet(path=str(tmp_path / "mine.parquet")))
    assert "row 2, column 'question': it is not UTF-8 text" in said


def test_a_device_a_pipe_and_a_socket_are_refused_at_once_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "socket.jsonl"))
    for name, kind in (("pipe", "a pipe"), ("zero", "a device"), ("socket", "a socket")):
        path = tmp_path / f"{name}.jsonl"
        assert f"is {kind}, not a file" in refused(Jsonl(path=str(path)))
        with pytest.raises(DataError, match=f"is {kind}, not a file"):
            read_tasks(path)
        for table in (Csv(path=str(path)), CodeJsonl(path=str(path)), Jsonl(sealed=str(path))):
            with pytest.raises(DataError, match=f"is {kind}, not a file"):
                reachable(table)


@pytest.mark.parametrize(("path", "says"), [("~nobody-here/x.jsonl", "no user here"), ("a\0b.jsonl", "holds a NUL")])
def test_a_path_that_leads_nowhere_is_refused_with_a_sentence(path: str, says: str) -> None:
    for table in (Jsonl(path=path), Csv(train=path)):
        with pytest.raises(DataError, match=says):
            reachable(table)


def test_two_answers_to_one_question_are_told_with_both_lines(tmp_path: Path) -> None:
    rows = [("What is 1 + 4?", "5"), ("Same?", 18), ("Same?", "18.0"), ("what  is 1 + 4?", "6"), ("Other?", "x")]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    (said,) = answered_twice(Jsonl(path=str(path)))
    assert "lines 1 and 7 ask the same" in said
    assert "'5' and '6'" in said
    path.write_text("".join(json.dumps({"question": "Same?", "answer": f"a{i}"}) + "\n" for i in range(9)))
    assert answered_twice(Jsonl(path=str(path)))[-1] == "5 more rows contradict an earlier one."


@pytest.mark.parametrize("answer", ["sNaN", "Nan", "nan", "-NaN123", "Infinity", "inf"])
def test_an_answer_that_python_could_take_for_no_number_is_a_text_like_any_other(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"question": "Same?", "answer": answer}, {"question": "Same?", "answer": f" {answer.upper()}"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert answered_twice(Jsonl(path=str(path))) == []
    path.write_text("".join(json.dumps(row) + "\n" for row in (*rows, {"question": "Same?", "answer": "5"})))
    (said,) = answered_twice(Jsonl(path=str(path)))
    assert f"{answer!r} and '5'" in said


@pytest.mark.parametrize("private", [
    {"family": "smith", "settings": "x", "seed": 1, "index": 2},
    {"family": "gcd", "settings": {}, "seed": "1", "index": 2},
    {"family": "gcd", "settings": "{}", "seed": 1, "index": 2}, {"family": 3, "settings": {}, "seed": True, "index": 0},
    {"family": "not one of its families", "settings": {}, "seed": 1, "index": 2},
])  # fmt: skip
def test_columns_with_the_names_of_reasoning_gyms_do_not_make_a_row_its_task(private: dict[str, Any]) -> None:
    right, wrong = check_all("reasoning_gym", ["5.0", "6"], {**private, "answer": "5"}, 0.0)
    assert (right.score, wrong.score) == (1.0, 0.0)
    assert right.reason.startswith("numeric: reasoning_gym did not make this task")
    (word,) = check_all("reasoning_gym", [" Paris"], {**private, "answer": "paris"}, 0.0)
    assert word.score == 1.0


def test_a_task_of_reasoning_gyms_is_still_its_own() -> None:
    private = {"family": "gcd", "settings": {}, "seed": 1, "index": 2, "answer": "no such answer"}
    for its in (private, {**private, "family": "gone since", "question_digest": "0"}):
        (found,) = check_all("reasoning_gym", ["5"], its, 0.0)
        assert found.score is None


@pytest.mark.parametrize(("question", "private", "why"), [
    ("half \ud83d", {}, "half a character"), ("q", {"x": object()}, "cannot be stored"),
    ("q", {"x": b"\xff"}, "cannot"),
    ("q", {"x": float("nan")}, "not a finite number"),
])  # fmt: skip
def test_a_task_from_any_source_that_no_ledger_can_hold_is_refused(
    question: str, private: dict[str, Any], why: str
) -> None:
    asked: Sequence[Message] = (Message(role=Role.user, content=question),)
    task = Task(messages=tuple(asked), ability="a", canonical="c", source="mine", private=private)
    with pytest.raises(DataError, match=rf"A task of mine for the gate set .*{why}") as error:
        prove_storable({"gate": [task]})
    str(error.value).encode()
