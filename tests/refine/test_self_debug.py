"""Self-Debug: the failed visible test goes back to the model, in four forms; its stops; the best draft is kept."""

import asyncio
from typing import ClassVar

import pytest

from instar.acquire.feedback.execution import Execution
from instar.errors import ConfigError
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


def test_on_the_sandbox_it_is_shown_its_visible_tests_and_never_a_hidden_one():
    """The whole of the card: draft, run, what failed and how, mend, run again, stop; hidden tests stay hidden."""
    asked = draft("def f(x): return x * x", question="Write f(x) that doubles x.")
    tests = {"visible": ["assert f(2) == 4", "assert f(3) == 6"], "hidden": ["assert f(11) == 22"]}
    task = asked.task.model_copy(update={"private": {"tests": tests, "names": ["f"]}})
    model = Scripted("def f(x): return x + 3", "def f(x): return x + x")
    op = SelfDebug(tests=Execution(tests="visible"))
    (found,) = asyncio.run(op(asked.model_copy(update={"task": task}), {"self": model}))
    said = ("assert f(3) == 6\nit gave 9", "assert f(2) == 4\nit gave 5")
    assert model.requests() == [f"Your code fails this test:\n{why}\n\n{FIX}" for why in said]
    assert (found.text, found.flags) == ("def f(x): return x + x", ())
    assert "f(11)" not in str(model.shown) + found.model_dump_json()


def test_a_judge_of_hidden_tests_is_refused_before_anything_is_asked():
    with pytest.raises(ConfigError, match="hidden tests") as refused:
        SelfDebug(tests=Execution())
    assert 'tests = "visible"' in str(refused.value.hint)
