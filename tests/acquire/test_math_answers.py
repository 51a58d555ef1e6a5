"""The forms in which a formula is answered: the one that ``instar init`` asks for must be taken."""

import asyncio

import pytest

from instar.acquire.feedback.checkers import exact, mathematics
from instar.acquire.feedback.stress import GOLD, stress
from instar.acquire.feedback.verify import Verify
from tests.acquire.things import task


@pytest.mark.parametrize(
    "gold",
    [
        r"12\sqrt{13}", r"\frac{\sqrt{3}}{2}", r"(-\infty,2)", r"\text{(C)}", r"90^\circ", r"\text{Evelyn}", "p - q",
        r"0.\overline{3}", r"\left( 3, \frac{\pi}{2} \right)", "$22.33", r"\$18.90", "25 m^2", "x = 2 or x = 3",
        r"x \in [-2,7]", r"2\pi", "$x^2$", r"\{1,2\}", "2:3",
    ],
)  # fmt: skip
def test_a_gold_answer_after_answer_is_right(gold):
    for reply in (f"Answer: {gold}", f"We have $a=3$ and so on.\nAnswer: {gold}", f"So it is.\n**Answer:** {gold}."):
        assert mathematics(reply, {"answer": gold}) is True, reply


@pytest.mark.parametrize(
    ("gold", "reply", "right"),
    [
        (r"12\sqrt{13}", r"Answer: 13\sqrt{12}", False), (r"12\sqrt{13}", r"Answer: 12\sqrt{14}", False),
        (r"\frac{\sqrt{3}}{2}", "Answer: √3/2", True), (r"\frac{\sqrt{3}}{2}", "Answer: sqrt(3)/2", True),
        (r"\frac{\sqrt{3}}{2}", "Answer: √2/2", False), (r"(-\infty,2)", "Answer: (-∞, 2)", True),
        (r"(-\infty,2)", r"Answer: (-\infty,2]", False), (r"(-\infty,2)", r"Answer: (2,\infty)", False),
        (r"\text{(C)}", r"Answer: \text{(B)}", False), (r"90^\circ", "Answer: 90°", True),
        (r"90^\circ", "Answer: 80°", False), (r"2\pi", "Answer: 2 pi", True), (r"2\pi", "Answer: 3 pi", False),
        ("4", "We have $x=3$ and $y=4$.\nAnswer: 12", False), ("12", "We have $x=3$ and $y=4$.\nAnswer: 12", True),
        ("5", "\\boxed{5}\nAnswer: 6", True), (r"\frac{1}{2}", "Answer:\n\\[\n\\frac{1}{2}\n\\]", True),
        ("12", "It costs $5 each.\nAnswer: 12 apples", True), ("5", "It costs $5 each.\nAnswer: 12 apples", False),
        ("$22.33", "Answer: €22.33", False), ("25 m^2", "Answer: 25 cm²", False), ("25 m^2", "Answer: 25 m²", True),
        ("p - q", "Answer: -q+p", True), ("p - q", "Answer: q-p", False), ("2:3", "Answer: 3:2", False),
        ("x = 2 or x = 3", "Answer: x = 2", False), ("Paris", "Answer: pairs", False),
    ],
)  # fmt: skip
def test_what_is_written_after_answer_is_compared_and_nothing_before_it(gold, reply, right):
    assert mathematics(reply, {"answer": gold}) is right


def test_exact_takes_no_other_currency_or_unit_for_gold():
    assert exact("25 m²", {"answer": "25 m^2"})
    assert not exact("25 cm^2", {"answer": "25 m^2"})
    assert not exact("€5", {"answer": "$5"})


def test_where_the_model_is_told_to_write_answer_the_gold_answer_must_be_right_in_that_form(tmp_path):
    """A check that takes boxes alone would else be called sound, and nothing that the model is asked for is right."""
    path = tmp_path / "mine.py"
    path.write_text("def is_right(reply, private):\n    return reply == f'\\\\boxed{{{private[\"answer\"]}}}'\n")
    boxed = Verify(checker=f"{path}:is_right")
    told = "Solve the problem. Write the result after 'Answer:'."
    for judge, said, failed in ((boxed, "", False), (boxed, "Put it in a box.", False), (boxed, told, True),
                                (Verify(), told, False)):  # fmt: skip
        report = asyncio.run(stress(judge, [task(answer="42")], said))
        assert (GOLD in {p.name for p in report.failures}) is failed, said


def test_a_hyphen_is_no_look_alike_since_it_is_read_as_one():
    report = asyncio.run(stress(Verify(), [task(answer="W-N"), task("Who?", answer="W-Nab")]))
    assert report.failures == ()
