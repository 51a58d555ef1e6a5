"""Judging code by the tests its author may see: what is said of them, and that hidden ones have no part in it."""

import asyncio

import pytest

from instar.acquire.feedback.unit_tests import UnitTests
from instar.records import Mark
from tests.acquire.things import solution, task

TESTS = {"visible": ["assert f(2) == 4", "assert f(3) == 6"], "hidden": ["assert f(5) == 'hidden'"]}


def judged(code, tests=TESTS, **fields):
    private = {"tests": tests, "names": ["f"]} if tests is not None else {}
    (said,) = asyncio.run(UnitTests(**fields)(task(**private), [solution(code)], {}))
    return said


def test_code_that_passes_its_visible_tests_is_right_whatever_the_hidden_ones_say():
    said = judged("Here it is:\n```python\ndef f(x):\n    return 2 * x\n```\nDone.")
    assert (said.score, said.mark, said.source, said.evidence) == (1.0, Mark.right, "execution", {})
    assert "hidden" not in said.model_dump_json()


def test_the_first_failed_test_is_named_with_what_happened():
    said = judged("def f(x): return x * x")
    assert (said.score, said.mark, said.comment) == (0.5, Mark.wrong, "1 of 2 visible tests passed")
    assert said.evidence["failed"].startswith("assert f(3) == 6\n")


@pytest.mark.parametrize(
    ("code", "why"),
    [("def f(x) return x", "SyntaxError"), ("def f(x): return y", "NameError"), ("", "there is no code")],
)
def test_code_that_breaks_fails_with_the_reason(code, why):
    said = judged(code)
    assert (said.score, said.mark) == (0.0, Mark.wrong)
    assert why in said.evidence["failed"]


def test_code_that_never_ends_is_ended_and_fails():
    assert judged("def f(x):\n    while True: pass", seconds=1).score == 0.0


@pytest.mark.parametrize("tests", [None, {}, {"visible": [], "hidden": ["assert f(1) == 1"]}])
def test_a_task_without_visible_tests_is_invalid_and_not_wrong(tests):
    said = judged("def f(x): return x", tests=tests)
    assert (said.score, said.mark, said.comment) == (None, Mark.invalid, "the task has no visible tests")
