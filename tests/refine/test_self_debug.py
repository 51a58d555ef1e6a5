"""Self-Debug: the failed visible test goes back to the model, in four forms; its stops; the best draft is kept."""

import asyncio
from typing import ClassVar

import pytest

from instar.protocols import Judge
from instar.records import Feedback, Mark
from instar.refine.corrections.self_debug import EXPLAIN, TRACE, SelfDebug
from tests.refine.talking import Scripted, draft, turns

FIX = "The code above is wrong. Please fix it, and write the whole code again."
FAILED = "Your code fails this test:\nassert f(1) == 2, but it gave 1"


class Tests(Judge):
    """Marks by what is written in the code: PASS passes, HALF passes half, CRASH cannot be run."""

    name: ClassVar[str] = "law_tests"
    __test__: ClassVar[bool] = False

    async def __call__(self, task, solutions, models):
        return [self._one(s) for s in solutions]

    def _one(self, s):
        if "CRASH" in s.text:
            return Feedback(solution=s.id, score=None, mark=Mark.invalid, source="execution", comment="no sandbox")
        score = 1.0 if "PASS" in s.text else 0.5 if "HALF" in s.text else 0.0
        mark = Mark.right if score == 1 else Mark.wrong
        failed = {} if score == 1 else {"failed": "assert f(1) == 2, but it gave 1"}
        return Feedback(solution=s.id, score=score, mark=mark, source="execution", evidence=failed)


def debug(model, text="def f(x): return x", **fields):
    (found,) = asyncio.run(SelfDebug(tests=Tests(), **fields)(draft(text), {"self": model}))
    return found


def test_the_failed_test_goes_into_the_prompt_and_the_mended_code_is_run_again():
    model = Scripted("def f(x): PASS")
    found = debug(model)
    assert model.requests() == [f"{FAILED}\n\n{FIX}"]
    assert (found.text, found.flags, found.strategy.value) == ("def f(x): PASS", (), "interactive")
    assert turns(found) == [
        ("draft", "def f(x): return x", False),
        ("critique", "assert f(1) == 2, but it gave 1", False),
        ("draft", "def f(x): PASS", False),
        ("assistant", "def f(x): PASS", True),
    ]
    assert SelfDebug(tests=Tests()).turns == 10
    assert {s.temperature for s in model.sampled} == {0.0}


def test_code_that_passes_its_visible_tests_is_left_alone_and_nothing_is_asked():
    model = Scripted()
    found = debug(model, "PASS")
    assert model.shown == []
    assert (found.flags, found.tokens) == (("unchanged",), 0)


@pytest.mark.parametrize(
    ("kind", "lines", "requests"),
    [
        ("simple", ["PASS"], [FIX]),
        ("explanation", ["It returns x.", "PASS"], [f"{FAILED}\n\n{EXPLAIN}", FIX]),
        ("trace", ["x = 1.", "PASS"], [f"{FAILED}\n\n{TRACE}", FIX]),
    ],
)
def test_each_kind_of_feedback_has_its_own_transcript(kind, lines, requests):
    model = Scripted(*lines)
    assert debug(model, feedback=kind).text == "PASS"
    assert model.requests() == requests


def test_the_draft_that_passed_most_is_the_answer_when_none_passes_all():
    found = debug(Scripted("HALF", "worse"), turns=2)
    assert (found.text, found.flags) == ("HALF", ("unresolved",))


def test_code_that_was_handed_in_before_ends_it():
    model = Scripted("b", " def f(x): return x ")
    assert debug(model).flags[-1] == "unresolved"
    assert len(model.shown) == 2


def test_tests_that_cannot_be_run_are_no_evidence():
    found = debug(Scripted(), "CRASH")
    assert found.flags == ("unchanged", "no_evidence", "unresolved")
    assert "no sandbox" in found.turns[1].text
