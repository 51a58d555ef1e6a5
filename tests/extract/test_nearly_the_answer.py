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


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        ("The answer is B. A is correct, C is correct, and D is correct.", "B"),
        ("Answer: B. A is correct: water boils at 100. C is correct too.", "B"),
        ("The answer is (B). (A) is correct as stated. (C) is correct as stated.", "B"),
        ("The incorrect statement is B; A is correct.", "B"),
        ("答案：B。A正确，C正确，D正确，B错误。", "B"),
        ("选B。解析：A正确，C正确，D正确，B项错误。", "B"),
        ("The answer is D. A is correct and B is correct.", "D"),
        ("The answer is B. Of the rest, C is the best.", "B"),
        ("My answer is B. If the question were about Italy, A would be right.", "B"),
        ("Answer: B. Thus A. is excluded", "B"),
        ("B is the exception. A is correct.", "B"),
    ],
)
def test_a_remark_that_other_options_are_true_takes_no_choice_back(reply, gold):
    assert extract(reply, "choice", gold) == gold


@pytest.mark.parametrize(
    "reply",
    [
        "B is tempting, but A is right.", "B has merit. A is correct.", "B works. A is right.",
        '"B" is correct. "A" is correct.', "B is right. A is right. C is right.", "The answer is B. A is better.",
        "The answer is B. A is the correct answer.", "Answer: B. On reflection, A is correct.",
        "It is B. Upon checking: A is right.", "Answer: B. But A is correct.", "B seems right. Yet A is fully correct.",
        "The answer is B. However, A is correct and C is correct.", "B. A is the right choice.",
        "B, though A is the better answer.", "The answer is B. Therefore A is correct.", "B. Actually A is right.",
        "B看起来对，但A才是正确的。", "B看似正确，其实A是正确答案。", "选B。A是正确答案。", "A：正确。B：错误。",
    ],
)  # fmt: skip
def test_a_letter_is_taken_back_where_another_is_said_to_be_the_one(reply):
    assert extract(reply, "choice", "B") != "B"


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Die Antwort ist nicht B.", False), ("Die Antwort ist nicht A, sondern B.", True), ("不能选B", False),
        ("不应该选B", False), ("答案不应是B", False), ("答案不可能是B。", False), ("应该选B", True),
        ("不得不选B", True),
        ("答案不是A，而是B。", True), ("B is the worst choice.", False), ("B is the least accurate.", True),
        ("B is the least expensive.", True), ("B is the second best.", False), ("B is too narrow.", False),
        ("B is far too narrow.", False), ("B is correct. A is too narrow.", True), ("B is correct too.", True),
    ],
)  # fmt: skip
def test_an_option_that_is_denied_or_called_the_lesser_one_is_not_chosen(reply, right):
    judged(reply, "B", right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Yes? No.", "yes", False), ("yes... no", "yes", False), ("Yes, wait, no.", "yes", False),
        ("Yes, it is. Wait, no.", "yes", False), ("True? False.", "true", False), ("是，不是", "是", False),
        ("Yes, no doubt.", "yes", True), ("Yes. No further explanation.", "yes", True), ("是的。", "是", True),
        ("True. False positives are rare.", "true", True), ("No, yes would need more.", "no", True),
    ],
)  # fmt: skip
def test_a_yes_that_turns_into_a_no_is_neither(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("### Answer\nB", "B", True), ("**Answer**\nB", "B", True), ("## Final Answer\n\nB", "B", True),
        ("### Answer\nB", "A", False), ("#### Answer\nB\n\n### Explanation\nIt is so.", "B", True),
        ("### Answer\nParis", "Paris", True), ("**Answer**\nParis", "Paris", True),
        ("### Answer\nRome", "Paris", False),
        ("### Answer\nFirst 3 + 4 = 7.\nThen 7 + 5 = 12.", "12", True),
        ("### Answer\nFirst 3 + 4 = 7.\nThen 7 + 5 = 12.", "7", False), ("### Answer\n\n12", "12", True),
        ("### Answer\nShe had 3. So 7 in all.", "3", False), ("### Answer\n**B. Paris**", "B", True),
        ("### Answer\n3.5 km", "3.5 km", True),
        ("الإجابة: B", "B", True), ("Lösung: B", "B", True), ("Solution: B", "B", True), ("Choice: B", "B", True),
        ("So B is the answer.", "B", True), ("So B is the answer to another question.", "B", False),
        ("Some say B is the answer.", "B", False), ("So B is not the answer.", "B", False),
        ("Solution: B = 3, so C", "B", False), ("Solution: 3 + 4 = 7. Then 7 + 5 = 12.", "7", False),
    ],
)  # fmt: skip
def test_an_answer_under_its_heading_is_read_and_a_derivation_to_its_end(reply, gold, right):
    judged(reply, gold, right)
