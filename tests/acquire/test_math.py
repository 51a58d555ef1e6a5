import asyncio
import threading

import pytest

from instar.acquire.feedback.checkers import check_all, mathematics
from instar.acquire.feedback.verify import Verify
from instar.records import Mark
from tests.acquire.things import solution, task


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", r"\boxed{\frac{2}{4}}", True),
        ("2", r"\boxed{\frac{1}{2}}", False),
        ("1/2", "3/6", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        ("x^2+2x+1", "$(x+1)^2$", True),
        ("x^2+2x+1", "$(x-1)^2$", False),
        (r"\{1,2\}", r"$\{2, 1\}$", True),
        (r"\{1,2\}", r"$\{1, 3\}$", False),
        ("(1,2]", "$(1, 2]$", True),
        ("(1,2]", "$[1, 2]$", False),
        (r"5\text{ cm}", "5", True),
        (r"\frac{1}{2}\text{ meters}", "1/2", True),
        ("10 meters", "$10$", True),
        (r"50\%", "0.5", True),
        ("1,000", "1000", True),
        ("7", r"We get $3+4=7$, so \boxed{7}; here $x$ is free.", True),
        ("7", "There are 3, then 7.\nAnswer: 7 apples", True),
        ("7", "I don't know", False),
        ("7", "", False),
        ("-7", "7", False),
        ("Paris", "paris", True),
        ("Paris", "pairs", False),
        (r"\text{yes}", r"The answer is $\boxed{\text{Yes}}$.", True),
        (r"\text{yes}", "no", False),
    ],
)
def test_answers_are_compared_as_mathematics(gold, answer, right):
    assert mathematics(answer, {"answer": gold}) is right


def test_a_whole_reply_is_judged_by_its_last_formula():
    verify = Verify(checker="math", extract="text")
    reply = r"First $\frac{1}{4}+\frac{1}{4}$, so the answer is $\boxed{\frac{1}{2}}$."
    solutions = [solution(reply, id="s0"), solution(r"$\boxed{\frac{1}{3}}$", id="s1"), solution(" ", id="s2")]
    found = list(asyncio.run(verify(task(answer="0.5"), solutions, {})))
    assert [f.mark for f in found] == [Mark.right, Mark.wrong, Mark.wrong]
    assert [f.evidence for f in found] == [{"checker": "math"}] * 3  # and no warning of the library's in it


def test_it_works_outside_the_main_thread_where_alarms_raise():
    said = []
    thread = threading.Thread(target=lambda: said.append(mathematics("$3$", {"answer": "3"})), daemon=True)
    thread.start()
    thread.join(30)
    assert said == [True]


def test_a_formula_that_takes_for_ever_is_invalid_when_its_time_is_up():
    slow = r"$(x+1)^{3000} \cdot (x+2)^{3000}$"
    [found] = asyncio.run(Verify(checker="math", seconds=1.0)(task(answer="(x+3)^{3000}"), [solution(slow)], {}))
    assert (found.mark, found.comment) == (Mark.invalid, "timed out after 1 s")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('pathlib').Path('PWNED').touch()",
        "$__import__('pathlib').Path('PWNED').touch()$",
        r"\boxed{__import__('pathlib').Path('PWNED').touch()}",
        "9**9**9**9**9**9",
        "$" * 3000,
        r"\boxed{" * 500,
        "\ud800",
    ],
)
def test_model_text_is_never_run_and_odd_text_is_wrong(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [found] = check_all("math", [text], {"answer": "7"}, 0.0)
    assert found.score == 0.0, found
    assert not (tmp_path / "PWNED").exists()


def test_auto_never_takes_this_checker_by_itself():
    [found] = asyncio.run(Verify()(task(answer="x^2+2x+1"), [solution("Answer: (x+1)^2")], {}))
    assert found.evidence == {"checker": "exact"}  # which asks it for what a formula is worth
    [found] = asyncio.run(Verify()(task(answer=r"\frac{1}{2}"), [solution("Answer: 0.5")], {}))
    assert (found.mark, found.evidence) == (Mark.right, {"checker": "numeric"})
