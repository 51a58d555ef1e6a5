"""Judging code by tests in the sandbox: what is said of the visible ones, and how little of the hidden ones."""

import asyncio

import pytest

from instar.acquire.feedback.unit_tests import UnitTests, code_in
from instar.records import Mark
from tests.acquire.things import solution, task

TESTS = {"visible": ["assert f(2) == 4", "assert f(3) == 6"], "hidden": ["assert f(5) == 10", "assert f(-1) == -2"]}


def judged(code, which="visible", tests=TESTS, **fields):
    private = {"tests": tests} if tests is not None else {}
    (said,) = asyncio.run(UnitTests(which=which, **fields)(task(**private), [solution(code)], {}))
    return said


def test_code_that_passes_all_tests_is_right_in_a_fence_or_without():
    for text in ("def f(x): return 2 * x", "Here it is:\n```python\ndef f(x):\n    return 2 * x\n```\nDone."):
        said = judged(text)
        assert (said.score, said.mark, said.source, said.evidence) == (1.0, Mark.right, "execution", {})


def test_the_first_failed_visible_test_is_named_with_what_the_code_gave():
    said = judged("def f(x): return x * x")
    assert (said.score, said.mark, said.comment) == (0.5, Mark.wrong, "1 of 2 visible tests passed")
    assert said.evidence == {"failed": "assert f(3) == 6\nit gave 9"}


def test_of_hidden_tests_only_the_count_is_said():
    said = judged("def f(x): return 7", which="hidden")
    assert (said.score, said.mark, said.evidence) == (0.0, Mark.wrong, {})
    assert "f(5)" not in said.model_dump_json()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def f(x) return x", "the code does not run: SyntaxError"),
        ("import os\nos._exit(0)", "it ended before its tests did"),
        ("print('i1:00[2, \"\"]')\nraise SystemExit", "the code does not run: SystemExit"),
        ("def f(x): return y", "NameError: name 'y' is not defined"),
        ("I do not know.", "the code does not run: SyntaxError"),
    ],
)
def test_code_that_breaks_fails_its_first_test_with_the_reason(code, why):
    said = judged(code)
    assert (said.score, said.mark) == (0.0, Mark.wrong)
    assert said.evidence["failed"].startswith("assert f(2) == 4\n")
    assert why in said.evidence["failed"]


def test_code_that_never_ends_is_ended():
    assert "ran into the limit" in judged("while True: pass", seconds=1).evidence["failed"]


@pytest.mark.parametrize("tests", [None, {}, {"visible": []}])
def test_a_task_without_tests_is_invalid_and_not_wrong(tests):
    said = judged("def f(x): return x", tests=tests)
    assert (said.score, said.mark, said.comment) == (None, Mark.invalid, "the task has no visible tests")


def test_the_last_fenced_block_that_holds_code_is_taken():
    assert code_in("```python\na\n```\nthen\n```\nb\n```\n```\n```") == "b\n"
    assert code_in("```py\nunclosed") == "unclosed"
    assert code_in("plain") == "plain"
