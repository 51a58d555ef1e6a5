# ruff: noqa: E501 - a table of cases
"""Working with tools: what a model is shown and when it stops, the calculator, and what is kept for training."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from instar.acquire.solutions.act import Act, UseTools, call_in
from instar.acquire.solutions.tools import calculate, use
from instar.records import Finish, Mark, Policy, Reply, Solution, Strategy, TurnKind, Weights
from tests.acquire.test_adaptive import IsSeven
from tests.acquire.things import task


class Script:
    """Answers with its texts in order and remembers what it was shown."""

    def __init__(self, *texts: str) -> None:
        self.policy = Policy(weights=Weights(place="scripted", digest="d")).identified()
        self.texts, self.shown = list(texts), []

    async def ask(self, messages: Any, *, n: int = 1, sampling: Any) -> list[Reply]:
        self.shown.append([m.content for m in messages])
        texts, self.texts = self.texts[:n], self.texts[n:]
        about = {"policy": self.policy.id, "engine": "fake", "precision": "f32", "finish": Finish.stop}
        return [Reply(text=t, token_ids=(1, 2), tokens=3, prompt_tokens=5, **about) for t in texts]


def solved(*texts: str, **options: Any) -> tuple[list[Solution], Script]:
    model = Script(*texts)
    return list(asyncio.run(UseTools(**{"samples": 1, **options})(task(answer="7"), {"self": model}))), model


def test_a_call_is_answered_and_the_model_goes_on_from_the_observation() -> None:
    (made,), model = solved("I compute: calculator[3 + 4]", "Answer: 7")
    assert [(t.kind, t.text, t.train) for t in made.turns] == [
        (TurnKind.tool_call, "I compute: calculator[3 + 4]", True),
        (TurnKind.tool_result, "Observation: 7", False),
        (TurnKind.assistant, "Answer: 7", True),
    ]
    assert model.shown[1][-2:] == ["I compute: calculator[3 + 4]", "Observation: 7"]
    assert "calculator[expression]" in model.shown[0][-1]
    assert (made.strategy, made.tokens, made.prompt_tokens, made.finish) == (Strategy.interactive, 6, 10, Finish.stop)
    assert made.text == "I compute: calculator[3 + 4]\nAnswer: 7"  # an observation is not the model's own


def test_an_observation_that_the_model_made_up_is_cut_off() -> None:
    (made,), _ = solved("calculator[3 + 4]\nObservation: 8\nAnswer: 8", "Answer: 7")
    assert made.turns[0].text == "calculator[3 + 4]"
    assert made.turns[0].token_ids is None  # they would say what was cut
    assert made.turns[1].text == "Observation: 7"


def test_a_reply_without_a_call_ends_it_at_once() -> None:
    (made,), model = solved("Answer: 7")
    assert len(model.shown) == len(made.turns) == 1
    assert made.turns[0].token_ids == (1, 2)


def test_it_stops_after_its_turns_and_says_that_it_was_cut() -> None:
    (made,), model = solved(*["calculator[1+1]"] * 9, turns=3)
    assert len(model.shown) == 3
    assert made.finish is Finish.length
    assert [t.kind for t in made.turns][-1] is TurnKind.assistant


def test_each_trajectory_follows_its_own_first_reply() -> None:
    made, model = solved("calculator[1+1]", "Answer: 5", "Answer: 2", samples=2)
    assert [s.text for s in made] == ["calculator[1+1]\nAnswer: 2", "Answer: 5"]
    assert len(model.shown) == 2


def test_a_tool_that_is_not_offered_is_not_used() -> None:
    (made,), _ = solved("python[print(7)]", tools=["calculator"])
    assert len(made.turns) == 1
    with pytest.raises(ValidationError):
        UseTools(tools=())


def test_python_runs_in_the_sandbox_and_its_errors_are_observed() -> None:
    (made,), _ = solved("python[x = [3, 4]\nprint(sum(x))]", "python[1 / 0]", "Answer: 7")
    assert [t.text for t in made.turns if t.kind is TurnKind.tool_result] == [
        "Observation: 7", "Observation: error: ZeroDivisionError: division by zero"
    ]  # fmt: skip
    assert asyncio.run(use("python", "while True: pass", seconds=0.5)) == "error: stopped by its limit of wall"
    assert asyncio.run(use("python", "x = 1")) == "(it printed nothing)"
    assert len(asyncio.run(use("python", "print('x' * 9999)"))) <= 600


def test_act_judges_what_it_made() -> None:
    model = Script("7", "8")
    made = asyncio.run(Act(solve=UseTools(samples=2), judge=IsSeven())(task(answer="7"), {"self": model}))
    assert [(e.solution.text, e.feedback.mark) for e in made if e.feedback] == [("7", Mark.right), ("8", Mark.wrong)]
    assert [e.feedback.solution for e in made if e.feedback] == [e.solution.id for e in made]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("calculator[1]", ("calculator", "1", 13)),
        ("python[x[0]] and more", ("python", "x[0]", 12)),
        ("Python[1]", ("python", "1", 9)),
        ("python[never closed", None),
        ("Observation: calculator[1]", None),
        ("mypython [1]", None),
    ],
)
def test_a_call_is_found_by_its_brackets(text: str, found: Any) -> None:
    assert call_in(text, ("calculator", "python")) == found


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * 7", "84"), ("1/4", "0.25"), ("1 / 3", "0.333333333333"), ("2^10", "1024"), ("-(3 - 5) ** 2", "-4"),
        ("7 // 2 + 7 % 4", "6"), ("1,000 + 1", "1001"), ("0.1 + 0.2", "0.3"), ("1/0", "error: division by zero"),
        ("9**9**9", "error: a power must be a whole number up to 200"), ("10**100", "error: the result is too large"),
        ("__import__('os').system('x')", "error: this is not arithmetic"), ("x", "error: this is not arithmetic"),
        ("'a' * 9", "error: this is not arithmetic"), ("True + 1", "error: this is not arithmetic"),
        ("(" * 200 + "1" + ")" * 200, "error: longer than 300 characters"), ("1+" * 400 + "1", "error: longer than 300 characters"),
        ("(" * 140 + "1" + ")" * 140, "1"), ("", "error: this is not arithmetic"),
        ("--" * 100 + "1", "error: nested too deep"), ("1e999", "error: the result is too large"), ("2 ** 0.5", "error: a power must be a whole number up to 200"),
    ],
)  # fmt: skip
def test_the_calculator_computes_arithmetic_exactly_and_nothing_else(expression: str, value: str) -> None:
    assert calculate(expression) == value
