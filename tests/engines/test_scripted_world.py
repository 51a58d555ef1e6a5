from __future__ import annotations

import random

import pytest

from instar.scripted_world import START, base_policy, is_right, last_number, skill_of, teach, truth, weights_of


@pytest.mark.parametrize(
    ("question", "value", "skill"),
    [
        ("State the final answer to the following arithmetic problem: 4 - 1 =", "3", "subtract"),
        ("Calculate 4 - 1.", "3", "subtract"),
        ("Solve the following multiplication: 4 * 1. Give only the result as your final answer.", "4", "multiply"),
        ("What is 7 + -2?", "5", "add"),
        ("4.2 + 1.35 =", "5.55", "add"),
        ("0.1 + 0.2 =", "0.3", "add"),
        ("What is -5 * -6 + (3 - 2)?", "31", "mixed"),
        ("2 + 3 * 4", "14", "mixed"),
        ("12 / 8", "1.5", "mixed"),
        ("7 × 8", "56", "multiply"),  # noqa: RUF001 - look-alike signs are meant
        ("3 x 4", "12", "multiply"),
        ("(compute 4 - 1)", "3", "subtract"),
        ("Problem 2: 1,234 + 1 =", "1235", "add"),
    ],
)
def test_the_truth_of_an_arithmetic_question_is_found(question: str, value: str, skill: str) -> None:
    assert truth(question) == value
    assert skill_of(question) == skill


@pytest.mark.parametrize(
    "question",
    [
        "Hello",
        "",
        "4",
        "4 / 0",
        "1 / 3",
        "2 ** 3 + 4",
        "(((((",
        "((" * 500 + "1 + 1",
        "-" * 5000 + "3",
        "__import__('os')",
    ],
)
def test_a_question_without_a_clear_value_has_no_truth(question: str) -> None:
    assert truth(question) is None
    assert skill_of(question) == "other"


def test_it_agrees_with_reasoning_gym() -> None:
    import reasoning_gym

    families = {
        "chain_sum": {},
        "products": {},
        "decimal_chain_sum": {},
        "basic_arithmetic": {"operators": ("+", "-", "*")},
    }
    for family, settings in families.items():
        for item in reasoning_gym.create_dataset(family, size=50, seed=3, **settings):
            assert is_right(item["question"], f"The answer is {item['answer']}."), item["question"]


def test_the_last_number_of_a_reply_is_its_answer() -> None:
    assert last_number("4 + 1 is 5. The answer is 1,205.") == 1205
    assert last_number("It is -0.5") == -0.5
    assert last_number("no idea") is None


def test_right_rows_move_a_skill_up_and_wrong_rows_move_it_down() -> None:
    right, wrong = ("What is 2 + 2?", "The answer is 4."), ("What is 2 + 2?", "The answer is 5.")
    assert teach(START, [right], 0.1)["add"] == pytest.approx(0.3 + 0.1 * 0.7)
    assert teach(START, [wrong], 0.1)["add"] == pytest.approx(0.3 - 0.1 * 0.3)
    assert teach(START, [("What is 2 + 2?", "no idea")], 0.1)["add"] < 0.3
    assert teach(START, [("Who are you?", "4")]) == START
    assert {k for k, v in teach(START, [right]).items() if v != START[k]} == {"add"}


def test_the_order_of_rows_does_not_matter_and_a_skill_stays_a_share() -> None:
    rows = [(f"What is {i} {'+-*'[i % 3]} 2?", f"It is {i + 2}") for i in range(60)]
    shuffled = random.Random(0).sample(rows, len(rows))
    assert weights_of(teach(START, rows)) == weights_of(teach(START, shuffled))
    assert teach(START, [("What is 2 + 2?", "4")] * 1000, 0.1)["add"] == 1.0
    assert teach(START, [("What is 2 + 2?", "5")] * 1000, 0.1)["add"] == 0.0


def test_a_policy_is_what_it_knows_and_not_what_it_is_called() -> None:
    assert weights_of(START).digest == weights_of(dict(reversed(START.items())), "another name").digest
    assert weights_of({**START, "add": 0.31}).digest != weights_of(START).digest
    assert base_policy().id == base_policy().id != base_policy("Be brief.").id
