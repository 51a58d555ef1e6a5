# ruff: noqa: RUF001 - look-alike signs are meant
import time
from fractions import Fraction

import pytest

from instar.extract import is_number, number, same, says
from instar.extract.quantities import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"9{,}500", 9500), (r"9\,500", 9500), (r"\$9,500", None), ("1.234.567", 1234567), ("1'234'567", 1234567),
        ("1.234,5", Fraction(2469, 2)), ("1 234", 1234), ("0,125", Fraction(1, 8)), ("12,34,567", None),
        (r"\dfrac{22}{7}", Fraction(22, 7)), (r"\tfrac12", Fraction(1, 2)), (r"-\frac{1}{2}", Fraction(-1, 2)),
        (r"2\frac{1}{3}", Fraction(7, 3)), ("2½", Fraction(5, 2)), ("4/0", None), ("3/4/5", None),
        (r"6.02 \times 10^{23}", Fraction("6.02e23")), ("5·10⁻³", Fraction(1, 200)), ("1E3", 1000), ("2**3", None),
        ("−７", -7), ("7!", None), ("7x", None), ("x7", None), ("±7", None), ("7 - 8", None), ("6–7", None),
        ("3:4", None), ("10:30", None), ("2024-02-29", None), ("3.5 million", 3500000), ("２万", 20000),
        ("4分之3", Fraction(3, 4)),
        ("负7", -7), ("minus 7", -7), ("10 minus 7", None), ("π/2", None), (r"\pi/2", None), (r"2\pi", None),
        ("5 squared", None),
        ("7+", None), ("7 or more", None), ("3又1/2", None), ("sqrt 4", None), ("log(8)", None),
        ("x + 7", None), ("|7|", None),
        (r"\sqrt{4}", None), ("seven", None), ("", None), ("1e4000", None),
    ],
)  # fmt: skip
def test_a_number_is_read_whole_or_not_at_all(text, value):
    assert number(text) == value


def test_a_gold_answer_that_can_be_misread_is_no_number():
    assert all(map(is_number, [r"\frac{3}{4}", "$7$", "1 1/2", "1,234", "2^3", "１２"]))
    assert not any(map(is_number, ["1,23", "3,5", "0,5", "12%", "5 km", "6-7"]))


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("The area is 25 m^2.", "25", True), ("The volume is 8 m³", "8", True), ("Answer: 25 m2", "25 m²", True),
        ("Answer: 25 square meters", "25 m²", True), ("Answer: 25", "25 m^2", True), ("Answer: 25 m", "25 m²", False),
        ("Answer: 25 cm²", "25 m²", False), (r"\boxed{25\text{ m}^2}", "25 m²", True), ("面积是25平方米。", "25", True),
        ("25 平方厘米", "25 cm²", True), ("5的平方", "5", False), ("5m^2 + 1", "1", False),
        ("9.8 m/s²", "9.8 m/s^2", True),
        ("25 sq ft", "25 square feet", True), ("Answer: 30 degrees", "30°", True),
        ("30 degrees Celsius", "30 °C", True),
        ("30 degrees Celsius", "30 °F", False), ("The result is 1.0e3.", "1000", True), ("Answer: 12,5", "125", False),
        (r"\boxed{\frac{3}{-4}}", "-3/4", True), (r"\boxed{\frac{3}{-4}}", "3", False), ("Answer: 5-", "5", False),
        ("**5**", "5", True), ("It takes 5 hours and 30 minutes.", "30", False), ("5 feet 3 inches", "3", False),
        ("2小时30分钟", "30", False), ("It takes 30 minutes.", "30", True), ("Answer: 5h30", "5", False),
        ("选A、C", "A, C", True), ("选AC", "A, C", True), ("答案：AC", "AC", True), ("Answer: AC", "A, C", True),
        ("Both A and C are correct.", "A, C", True), ("Answer: A, B, C", "A, C", False),
        ("Answer: CAB", "A, B, C", False),
        ("Answer: A", "AC", False), ("option b", "B", True), ("Answer: option (b)", "B", True),
        ("I think it's D", "D", True), ("It's A dog", "A", False), ("Ans: B", "B", True), ("Ans. 12", "12", True),
        ('{"answer": "B"}', "B", True), ('```json\n{"answer": 12, "why": "3 + 9"}\n```', "12", True),
        ('{"answer": true}', "yes", False), ('{"answer": 1, "result": 2}', "2", False),
        ("Paris and London", "Paris, London", True), ("1, 2, 3", "1 2 3", True), ("1, 2", "1 2 3", False),
        ("选Ｂ", "B", True), ("答案是：１２", "12", True), ("１，２３４", "1234", True), ("５０％", "50%", True),
        ("Put 6 in 2 jars.", "6", False), ("You put 10 in 2.", "10", False), ("It takes 1 h 3 min.", "1", False),
        ("He is 5 ft 3 in tall.", "5", False), ("It is 6 in 3.", "6", False), ("It is 9 m 2.", "9", False),
        ("25 m ^2", "25", True), ("25 ft2", "25", True), ("25 ft ^ (2)", "25 ft²", True),
        ("60 miles per hour", "60 mph", True), ("Answer: 60 mph", "60 miles per hour", True),
        ("60 mi/hr", "60 mph", True), ("60 km per hour", "60 mph", False), ("60 miles", "60 mph", False),
        ("A and C", "AC", True), ("Answer: A, C", "AC", True), ("The blood type is AB.", "AB", True),
        ("Answer: AB", "AB", True), ("选AC", "AC", True), ("Answer: AC", "A and C", True), ("CA", "AC", False),
        ("Answer: 3 to 5", "5", False), ("Answer: ≈ 3.14", "3.14", True), ("Answer: 1e-3", "0.001", True),
    ],
)  # fmt: skip
def test_what_is_said_in_units_letters_or_json_is_read_whole_or_not_at_all(reply, gold, right):
    assert says(reply, gold) is right


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Answer: 12 dozen", "12", False), (r"\boxed{5!}", "5", False), ("Answer: 7!", "7", True),
        ("Answer: (b)", "b", True),
        ("It is (B).", "(b)", True), ("Answer: [0,1)", "[0, 1)", True), ("Answer: [0, 1]", "[0, 1)", False),
        ("Final Answer: The final answer is $42$. I hope it is correct.", "42", True), (r"\boxed{x=5}", "5", True),
        ("Answer: 负7", "7", False), ("Answer: negative 7", "-7", True), ("Answer: 3:2", "3:2", True),
        ("Answer: 3:2", "3", False),
        ("Answer: 12:30 PM", "12:30 PM", True), ("Answer: B. 42", "42", True),
        ("Answer: half of 7", "7", False), ("Answer: 5 feet 3 inches", "5 feet", False),
        ("Answer: 7 of 9", "7", False),
        ("Answer: at least 7", "7", False), ("Answer: 7 and 8", "8", False), ("It costs $7.50", "7.5", True),
        ("Answer: 7,", "7", True), ("Answer: 7 km (3 km there, 4 back)", "7", True), ("Answer: about 7", "7", True),
        ("#### 9,187", "9187", True), ("共有１２个。", "12", True), ("答案是十二。", "12", False),
        ("结果：百分之75", "75%", True),
        ("Answer: 10 pm", "10 am", False), ("Answer: 10", "10 am", False), ("Answer: 5 km", "5 m", False),
        ("Answer: 5 minutes", "5 min", True), ("5 元", "5元", True), ("Answer: 3 m", "300 cm", False),
        ("<reasoning>Answer: 3</reasoning>Answer: 4", "4", True), ("<think>3</think>", "3", False),
        ("Answer: [2,1]", "{1, 2}", False), ("Answer: {2,1}", "{1, 2}", True), ("Answer: 1; 2; 3", "1, 2, 3", True),
        ("Answer: March 3, 2021", "2021-03-03", False), ("Answer: 05:30", "05:30", True),
        ("It is 5:30.", "05:30", False),
        ("故选C。", "C", True), ("应选择（D）", "D", True), ("选项A正确", "A", True), ("不选A", "A", False),
        ("A和B", "A", False),
        ("A cat is B", "A", False), ("Answer: A cat", "A", False), ("Answer: A because it barks", "A", True),
        ("Answer: I think so", "I", False), ("(A) and (B)", "B", False), ("Answer: A/B", "A", False),
        ("I choose B", "B", True), ("The letter is: **D**.", "D", True), ("Answer: B and A", "A, B", True),
        ("False, it is not.", "False", True), ("Yes or no", "yes", False), ("对，就是这样", "对", True),
        ("不对", "对", False),
        ("The mood of this text is negative.", "negative", True), ("It is hot. Wait, it is cold.", "cold", False),
    ],
)  # fmt: skip
def test_a_reply_says_gold_or_does_not(reply, gold, right):
    assert says(reply, gold) is right


def test_words_are_compared_by_their_letters_and_numbers_by_value():
    assert same("PARIS", "Paris")
    assert same("0.50", "1/2")
    assert same("20%", "0.2")
    assert not same("pairs", "Paris")
    assert not same("2%", "0.2")


@pytest.mark.parametrize(
    "piece", ["1,111", "1 111", "1/", "\\frac{", "$1", "\\boxed{", "{,}", "A or ", "是", "is ", "^{", "<think>"]
)
@pytest.mark.parametrize("gold", ["1", "A", "5 km", "2024-02-29", "cold"])
def test_no_text_takes_long_whatever_is_looked_for(piece, gold):
    started = time.process_time()
    says(piece * 5_000, gold)
    assert time.process_time() - started < 0.5


def test_of_a_text_that_is_too_long_no_beginning_is_read_as_its_number_or_quantity():
    began = time.process_time()
    assert quantity("5 cm") == quantity(" " * 9_000 + "5 cm")
    for long in ("5" + " " * 9_000 + "cm 6", "1" * 200_000 + " cm", "5 " + "x" * 200_000):
        assert quantity(long) is None
        assert number(long) is None
    assert number(f"5{' ' * 9_000}6") is None
    assert time.process_time() - began < 0.5


def test_a_number_with_an_exponent_is_joined_before_it():
    assert [number(n) for n in ("1,234e2", "1.5E-3", "2e+3")] == [123_400, Fraction(3, 2_000), 2_000]
