"""CRITIC: the tool decides. Its transcript, its three outcomes, its stops."""

import asyncio
from fractions import Fraction

import pytest

from instar.refine.corrections.critic import Critic
from instar.refine.corrections.findings import Evidence, by_calculator, value_of, written
from tests.refine.talking import Scripted, draft, turns

PYTHON = "Check the result with Python: write a short program, in a code block, that works out what the problem asks for and prints the result."  # noqa: E501 - the prompt as it is
TOOL = "Check the result with a calculator: write the calculation that the problem asks for as one line for the calculator, without its result."  # noqa: E501 - the prompt as it is
FOUND = "The calculator says: 3 + 4 = 7. The answer says 8."


def criticise(model, experience=None, **fields):
    (found,) = asyncio.run(Critic(**fields)(experience or draft(), {"self": model}))
    return found


def test_tool_then_critique_on_what_it_said_then_a_new_answer_that_the_tool_checks_again():
    model = Scripted("3 + 4", "The sum is wrong.", "Answer: 7", "3 + 4")
    found = criticise(model)
    begun = [("system", "Be brief."), ("user", "What is 3 + 4?"), ("assistant", "3 + 4 is 8. Answer: 8")]
    asked = [*begun, ("user", TOOL)]
    why = [*asked, ("assistant", "3 + 4"), ("user", f"{FOUND}\n\nWhat is the problem with the answer above?")]
    again = (
        "user",
        f"Here is what the calculator found: {FOUND}\n\nWrite a better answer to the problem.",
    )
    better = [*why, ("assistant", "The sum is wrong."), again]
    assert model.shown == [asked, why, better, [*better, ("assistant", "Answer: 7"), ("user", TOOL)]]
    assert (found.text, found.flags, found.strategy.value) == ("Answer: 7", (), "interactive")
    assert turns(found) == [
        ("draft", "3 + 4 is 8. Answer: 8", False),
        ("critique", FOUND, False),
        ("critique", "The sum is wrong.", False),
        ("draft", "Answer: 7", False),
        ("critique", "The calculator says: 3 + 4 = 7. The answer says the same.", False),
        ("assistant", "Answer: 7", True),
    ]


def test_where_the_tool_agrees_nothing_more_is_asked():
    model = Scripted("3+4 =")
    found = criticise(model, draft("Answer: 7"))
    assert model.requests() == [TOOL]
    assert (found.text, found.flags) == ("Answer: 7", ("unchanged",))


@pytest.mark.parametrize("call", ["I would use one.", "", "x + 4", "4 / 0", "__import__('os').system('id')", "9**9**9"])
def test_a_tool_that_found_nothing_is_no_evidence_and_no_approval(call):
    model = Scripted(call)
    found = criticise(model)
    assert len(model.shown) == 1
    assert found.flags == ("unchanged", "no_evidence", "unresolved")
    assert found.turns[1].text.startswith("The calculator has no evidence")


def test_the_same_answer_twice_running_ends_it_unresolved():
    model = Scripted("3 + 4", "Nothing is wrong.", "I say 8. Answer: 8")
    found = criticise(model)
    assert len(model.shown) == 3
    assert (found.text, found.flags) == ("I say 8. Answer: 8", ("unresolved",))


def test_it_ends_after_its_rounds_and_the_last_answer_is_not_said_to_be_by_calculator():
    model = Scripted("3 + 4", "Bad.", "Answer: 6", "3 + 4", "Bad.", "Answer: 5")
    found = criticise(model, rounds=2)
    assert (found.text, found.flags) == ("Answer: 5", ("unresolved",))


def test_an_answer_without_a_number_is_told_so():
    assert by_calculator("3 + 4", None, 0).said == "The calculator says: 3 + 4 = 7. The answer names no number."
    assert by_calculator("3 + 4", None, 0).evidence is Evidence.disagrees


def test_results_are_compared_by_value_within_the_tolerance():
    assert by_calculator("1 / 3", Fraction("0.333"), 1e-3).evidence is Evidence.agrees
    assert by_calculator("1 / 3", Fraction("0.33"), 1e-3).evidence is Evidence.disagrees
    assert written(Fraction(1, 3)) == "0.333333"
    assert value_of("So it is 1,234.") == 1234
    assert value_of("no idea") is None
    assert value_of("Answer: 4/0") is None


def test_with_python_the_program_is_run_and_its_number_decides():
    program = "```python\nfrom functools import reduce\nprint('so', reduce(lambda a, b: a + b, [3, 4]))\n```"
    model = Scripted(program, "The sum is wrong.", "Answer: 7", "```python\nprint(7.0)\n```")
    found = criticise(model, tool="python")
    said = "The program says: 7. The answer says 8."
    begun = [("system", "Be brief."), ("user", "What is 3 + 4?"), ("assistant", "3 + 4 is 8. Answer: 8")]
    asked = [*begun, ("user", PYTHON)]
    why = [*asked, ("assistant", program), ("user", f"{said}\n\nWhat is the problem with the answer above?")]
    again = ("user", f"Here is what the program found: {said}\n\nWrite a better answer to the problem.")
    better = [*why, ("assistant", "The sum is wrong."), again]
    assert model.shown == [asked, why, better, [*better, ("assistant", "Answer: 7"), ("user", PYTHON)]]
    assert [s.max_tokens for s in model.sampled] == [256, 128, 256, 256]
    assert (found.text, found.flags, found.strategy.value) == ("Answer: 7", (), "interactive")
    assert turns(found) == [
        ("draft", "3 + 4 is 8. Answer: 8", False),
        ("critique", said, False),
        ("critique", "The sum is wrong.", False),
        ("draft", "Answer: 7", False),
        ("critique", "The program says: 7. The answer says the same.", False),
        ("assistant", "Answer: 7", True),
    ]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("", "there is none"),
        ("I would use Python.", "it failed: SyntaxError: invalid syntax"),
        ("```python\nprint(7)\nraise ValueError('no')\n```", "it failed: ValueError: no"),
        ("```python\nx = 7\n```", "it printed no number"),
        ("```python\nprint('seven')\n```", "it printed no number"),
        ("```python\nwhile True: pass\n```", "it was stopped by its limit of cpu"),
        ("```python\nwhile True: print(7)\n```", "it was stopped by its limit of output"),
        ("```python\nprint(len(open('/etc/passwd').read()))\n```", "it failed: FileNotFoundError"),
    ],
)
def test_a_program_that_gives_no_number_is_no_evidence_whatever_it_printed_before(program, why):
    model = Scripted(program)
    found = criticise(model, tool="python", seconds=1)
    assert len(model.shown) == 1
    assert found.flags == ("unchanged", "no_evidence", "unresolved")
    assert found.turns[1].text.startswith(f"The program has no evidence: {why}")


def test_where_a_program_agrees_nothing_more_is_asked():
    model = Scripted("print(sum([3, 4]))")
    assert criticise(model, draft("Answer: 7"), tool="python").flags == ("unchanged",)
    assert model.requests() == [PYTHON]
