"""Replies that nearly say the answer, each beside one that does: brackets, denials, remarks on options, headings."""

import pytest

from instar.extract import extract, says


def judged(reply: str, gold: str, right: bool) -> None:
    assert says(reply, gold) is right, (extract(reply, "auto", gold), gold)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("3 (a)", "3 (a)", True), ("3 (b)", "3 (a)", False), ("Answer: 3 (b)", "3 (a)", False),
        ("3 (c)", "3 (c)", True), ("3", "3 (c)", False), ("4 (IV)", "4 (IV)", True), ("4 (V)", "4 (IV)", False),
        ("7 (apples)", "7 (apples)", True), ("7", "7 (apples)", True), ("7 (pears)", "7 (apples)", False),
        ("7 (apples)", "7 apples", True), ("7 (pears)", "7 apples", False), ("7 pears", "7 (apples)", False),
        ("7 (because 3 + 4 = 7)", "7 apples", True), ("7 (in total)", "7 apples", True),
        ("**7** (pears)", "7 apples", False), ("7 (cm)", "7 (cm)", True), ("7 (m)", "7 (cm)", False),
        ("5 m", "5 (m)", True), ("5 (m)", "5 (m)", True), ("5 (km)", "5 (m)", False), ("37 (C)", "37 (C)", True),
        ("37 (F)", "37 (C)", False), ("100 (EUR)", "100 (USD)", False), ("100 dollars", "100 (USD)", True),
        ("1 (false)", "1 (true)", False), ("1917 (February)", "1917 (October)", False),
        ("1917 (October)", "1917 (October)", True), ("7 (apples in the bag)", "7 (apples in the bag)", True),
        ("7 (apples in the box)", "7 (apples in the bag)", False),
    ],
)  # fmt: skip
def test_what_stands_in_brackets_behind_a_number_is_a_part_of_it(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "right"),
    [("= 42", True), ("=42", True), ("= **42**", True), ("=", False), ("= 43", False), ("\n= 42", True)],
)
def test_a_reply_that_begins_with_an_equals_sign_is_read(reply, right):
    judged(reply, "42", right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("答案是北京", "北京", True), ("首都是北京", "北京", True), ("不是北京", "北京", False),
        ("并不是北京", "北京", False), ("答案不是北京", "北京", False), ("并非是北京", "北京", False),
        ("首都是Paris", "Paris", True), ("首都不是Paris", "Paris", False), ("首都不是上海而是北京", "北京", True),
    ],
)  # fmt: skip
def test_what_is_denied_in_chinese_is_not_what_the_sentence_says(reply, gold, right):
    judged(reply, gold, right)
