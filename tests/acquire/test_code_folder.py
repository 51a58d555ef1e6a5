"""A folder of Python files made into tasks: what has tests that run alone becomes one, and all else says why not."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from instar.acquire.documents.functions import functions
from instar.acquire.documents.read import Document
from instar.acquire.feedback.execution import Execution
from instar.acquire.tasks.code_folder import CodeFolder
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError
from instar.records import Mark, Task
from tests.acquire.things import solution

SHAPES = '''
"""Areas."""
import math
import numpy as np
from os import path as somewhere

SCALE = 2

def doubled(x: float) -> float:
    return SCALE * x

def area(r: float) -> float:
    """The area of a circle, rounded.

    >>> area(1)
    3
    >>> area(2)
    13
    >>> area(0)
    0
    """
    return round(math.pi * r ** 2)

def twice_the_area(r):
    """Twice the area.

    >>> twice_the_area(1)
    6
    >>> twice_the_area(2)
    26
    >>> twice_the_area(0)
    0
    """
    return doubled(area(r))

def vector(n) -> np.ndarray:
    """n zeros.

    >>> vector(1)
    [0]
    >>> vector(2)
    [0, 0]
    >>> vector(0)
    []
    """
    return [0] * n

def norm(v):
    """Length of a vector.

    >>> norm([3, 4])
    5.0
    >>> norm([0])
    0.0
    >>> norm([1])
    1.0
    """
    return np.linalg.norm(v)

def wrong(n):
    """One more.

    >>> wrong(1)
    2
    >>> wrong(2)
    4
    >>> wrong(3)
    4
    """
    return n + 1

def untold(n):
    return n

def for_ever(n):
    """Waits.

    >>> for_ever(1)
    1
    >>> for_ever(2)
    2
    >>> for_ever(3)
    3
    """
    while True:
        pass
'''
WORDS = '''
raise SystemExit("this file must not be imported")

def shout(text: str) -> str:
    """The text in capitals, with a mark."""
    return text.upper() + "!"

def circle(r):
    """The area of a disc."""
    return round(math.pi * r ** 2)
'''
TESTS = """
import pytest
from words import shout

def test_it_shouts():
    assert shout("a") == "A!", "with a message"
    assert shout("") == "!"
    assert len(shout("abc")) == 4

def test_with_a_folder(tmp_path):
    assert shout(str(tmp_path))

def test_of_more():
    other = shout("x")
    assert shout("x") == other
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "shapes.py").write_text(SHAPES)
    (tmp_path / "sub" / "words.py").write_text(WORDS)
    (tmp_path / "test_words.py").write_text(TESTS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "notes.txt").write_text("no code")
    return tmp_path


def by_name(tasks: list[Task]) -> dict[str, Task]:
    return {t.private["names"][0]: t for t in tasks}


def test_functions_whose_tests_run_are_tasks_each_in_one_set_and_the_rest_says_why(folder: Path) -> None:
    sets = CodeFolder(folder=str(folder), seconds=1)({"train": 2, "sealed": 2}, {"sealed": 1})
    assert prove_disjoint(sets) == {"train": 2, "sealed": 2}
    made = by_name([*sets["train"], *sets["sealed"]])
    assert set(made) == {"area", "twice_the_area", "vector", "shout"}
    said = [re.fullmatch(r"(?:(?!broken)\S+: )?(\S+): (.*)", line) for line in sets["train"][0].private["unread"]]
    why = {m[1]: m[2] for m in said if m}
    assert "it has 0 tests" in why["untold"]
    assert "standard library" in why["norm"]
    assert why["wrong"].startswith("1 of its 3 tests fail")
    assert why["for_ever"].startswith("3 of its 3 tests fail")
    assert why["broken.py"] == "it is not Python (SyntaxError)"
    assert CodeFolder(folder=str(folder), seconds=1)({"train": 2, "sealed": 2}, {"sealed": 1}) == sets


def test_a_task_shows_one_test_and_hides_the_rest_and_its_reference_is_right(folder: Path) -> None:
    made = by_name(CodeFolder(folder=str(folder), seconds=1)({"sealed": 4}, {})["sealed"])
    area, twice, vector, shout = (made[n] for n in ("area", "twice_the_area", "vector", "shout"))
    assert area.question.endswith("Your code should pass this test:\nassert area(1) == 3")
    assert ">>>" not in area.question
    assert "13" not in area.question
    assert "def area(r: float) -> float:" in area.question
    assert area.private["tests"]["hidden"] == ["assert area(2) == 13", "assert area(0) == 0"]
    assert "np" not in vector.question
    assert twice.private["prompt"].count("def ") == 2
    assert "numpy" not in twice.private["prompt"]
    assert shout.private["tests"]["hidden"] == ["assert shout('') == '!'", "assert len(shout('abc')) == 4"]
    for task in made.values():
        right, wrong = (marked(task, p) for p in (task.private["answer"], "def " + task.private["names"][0] + "(x): 1"))
        assert (right, wrong) == (Mark.right, Mark.wrong)


def marked(task: Task, program: str) -> Mark:
    said = solution(f"```python\n{program}\n```")
    (feedback,) = asyncio.run(Execution()(task, [said], {}))
    return feedback.mark


def test_a_copy_under_another_name_is_no_second_task(folder: Path) -> None:
    (folder / "sub" / "copy.py").write_text(SHAPES.replace("def area", "def space").replace("area(", "space("))
    with pytest.raises(DataError, match="functions with tests that run, and 90 are wanted"):
        CodeFolder(folder=str(folder), seconds=1)({"sealed": 90}, {})
    made = by_name(CodeFolder(folder=str(folder), seconds=1)({"sealed": 4}, {})["sealed"])
    assert len({"area", "space"} & set(made)) <= 1


def test_a_folder_without_such_functions_says_what_it_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(x):\n    return x\n")
    with pytest.raises(DataError, match=r"(?s)has 0 functions.*a\.py: f: it has 0 tests"):
        CodeFolder(folder=str(tmp_path))({"sealed": 1}, {})
    with pytest.raises(DataError, match="There is no folder"):
        CodeFolder(folder=str(tmp_path / "none"))({"sealed": 1}, {})
    with pytest.raises(ValidationError, match="at least 1 character"):  # the folder that one stands in is never meant
        CodeFolder(folder="")


ODD = '''
from typing import Sequence

BIG = [{}]

def _inner(x: Sequence[int]) -> int:
    return len(x)

def counted(x):
    """How many there are.

    >>> counted([1])  # one
    1
    >>> counted([1, 2]), counted([])
    (2, 0)
    >>> lambda: counted([])
    >>> counted([3]) == 1
    True
    >>> counted([1, 2, 3])  # doctest: +SKIP
    4
    >>> counted(["a"])
    # a note
    1
    """
    return _inner(x)

def deep(x):
    """A long sum.

    >>> deep(1)
    1
    >>> deep(2)
    2
    >>> deep(3)
    3
    """
    return {}
'''.replace("{}", "1", 1).replace("{}", "+".join(["x"] * 2_000))


def test_odd_examples_test_what_they_show_or_nothing_and_no_code_breaks_the_reading(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "test_odd.py").write_text(
        "def test_it():\n    input = [7]\n    assert counted(input) == 1\n    assert counted(['a']) == 1\n"
        f"    assert counted([1]) == {'+'.join(['1'] * 900)}\n    assert counted([]) == 0\n"
    )
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "theirs.py").write_text(ODD.replace("counted", "theirs"))
    (tmp_path / "cut.py").write_text(f"{ODD}\nLONG = '{'x' * 30_000}'\n")
    (task,) = CodeFolder(folder=str(tmp_path))({"train": 1}, {})["train"]
    assert task.private["names"] == ["counted"]
    assert task.private["tests"] == {
        "visible": ["assert counted([1]) == 1"],
        "hidden": [
            "assert (counted([1, 2]), counted([])) == (2, 0)", "assert (counted([3]) == 1) == True",
            "assert counted(['a']) == 1", "assert counted([]) == 0",
        ],
    }  # fmt: skip
    said = "\n".join(task.private["unread"])
    assert "odd.py: deep: it cannot be taken out of its file (RecursionError)" in said
    assert "cut.py: of it was left out" in said
    assert "theirs" not in said


def test_a_file_of_thousands_of_functions_is_looked_through_once() -> None:
    shown = "".join(f"    >>> fN({i})\n    {i}\n" for i in range(3))
    one = f'def fN(x):\n    """Gives it.\n\n{shown}    """\n    return x + N\n'
    many = "".join(one.replace("N", str(n)) for n in range(3_000))
    began = time.process_time()
    found, passed = functions([Document("many.py", "", many)], 3)
    assert (len(found), passed) == (3_000, [])
    assert time.process_time() - began < 15


def test_the_same_lines_over_another_constant_are_another_function(tmp_path: Path) -> None:
    for name, k in (("a", 2), ("b", 3)):
        lines = "".join(f"    >>> times({n})\n    {n * k}\n" for n in range(3))
        (tmp_path / f"{name}.py").write_text(
            f'K = {k}\n\ndef times(x):\n    """x times K.\n\n{lines}    """\n    return x * K\n'
        )
    assert len(CodeFolder(folder=str(tmp_path))({"sealed": 2}, {})["sealed"]) == 2
