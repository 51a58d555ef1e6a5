"""Own answers as examples: which may be shown, how they stand, and what they change of a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from instar.errors import DataError
from instar.protocols import UpdateContext
from instar.records import (
    Experience,
    Feedback,
    Finish,
    Learned,
    Mark,
    Message,
    Policy,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
)
from instar.scripted_world import base_policy, with_examples
from instar.update.memory.demonstrate import Demonstrate


def _user(text: str) -> Message:
    return Message(role=Role.user, content=text)


def _said(text: str) -> Message:
    return Message(role=Role.assistant, content=text)


def answer(question: str, text: str, mark: Mark = Mark.right) -> Experience:
    task = Task(
        id=question, messages=(Message(role=Role.system, content="Be brief."), _user(question)), ability="add",
        canonical=question, source="test",
    )  # fmt: skip
    solution = Solution(
        id=f"answer to {question}", task=question, turns=(Turn(text=text),), policy="p", engine="e", precision="exact",
        sampling=Sampling(), finish=Finish.stop,
    )  # fmt: skip
    said = Feedback(solution=solution.id, score=float(mark is Mark.right), mark=mark, source="verifier")
    return Experience(task=task, solution=solution, feedback=said)


def shown(op: Demonstrate, policy: Policy, *data: Experience) -> tuple[Policy, list[Learned]]:
    told: list[Learned] = []

    def learned(turns: Iterable[Learned]) -> None:
        told.extend(turns)

    return asyncio.run(op(policy, data, cast(UpdateContext, SimpleNamespace(learned=learned)))), told


def test_an_example_is_a_conversation_before_the_question_and_no_weight_changes() -> None:
    base = base_policy("Solve it.")
    made, told = shown(Demonstrate(), base, answer("2 + 2?", "Answer: 4"), answer("1 + 2?", "Answer: 3"))
    asked = made.prompt(answer("5 + 5?", "").task.model_copy(update={"messages": (_user("5 + 5?"),)}))
    assert [(m.role.value, m.content) for m in asked] == [
        ("system", "Solve it."), ("user", "2 + 2?"), ("assistant", "Answer: 4"), ("user", "1 + 2?"),
        ("assistant", "Answer: 3"), ("user", "5 + 5?"),
    ]  # fmt: skip
    assert (made.weights, made.parent, made.made_by) == (base.weights, base.id, "demonstrate")
    assert made.id == made.identified().id != base.id
    assert told == []  # nothing that replay would train on


@pytest.mark.parametrize(
    ("op", "data", "why"),
    [
        (Demonstrate(), [answer("2 + 2?", "Answer: 5", Mark.wrong)], "is wrong"),
        (Demonstrate(), [answer("2 + 2?", "Answer: 5", Mark.unscored)], "is unscored"),
        (Demonstrate(), [answer("2 + 2?", "4").model_copy(update={"feedback": None})], "is unscored"),
        (Demonstrate(marked="wrong"), [answer("2 + 2?", "Answer: 4")], "is right"),
        (Demonstrate(), [answer("2 + 2?", "  ")], "no text"),
        (Demonstrate(), [answer("2 + 2?", "4"), answer("2 + 2?", "4")], "shown already"),
        (Demonstrate(most=1), [answer("2 + 2?", "4"), answer("1 + 2?", "3")], "2 examples"),
    ],
)  # fmt: skip
def test_what_nobody_vouches_for_is_not_shown(op: Demonstrate, data: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        shown(op, base_policy(), *data)


def test_the_scripted_model_answers_better_under_right_examples_and_worse_under_wrong_ones() -> None:
    skills = {"add": 0.3, "multiply": 0.3}
    right = with_examples(skills, [_user("12 + 12?"), _said("Answer: 24")])
    assert right["add"] > 0.3
    assert right["multiply"] == 0.3
    assert with_examples(skills, [_user("12 + 12?"), _said("Answer: 25")])["add"] < 0.3
    assert with_examples(skills, [_user("2 + 2?"), _said("Answer: 4")]) == skills
    assert with_examples(skills, [_user("Hello?"), _said("Hello.")]) == skills
