"""The same answer in other words, signs or forms, each beside a near one that is another answer."""

# ruff: noqa: RUF001 - look-alike signs are meant
import time

import pytest

from instar.extract import extract, is_number, same, says


def judged(reply, gold, right):
    assert says(reply, gold) is right, (extract(reply, "auto", gold), gold)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("First there are 17 apples. Adding more gives the total\n20", "17", False),
        ("First there are 17 apples. Adding more gives the total\n20", "20", True),
        ("### Answer\n12", "12", True), ("The result is\n12", "12", True), ("so we get\n$5$", "5", True),
        ("Step 1:\n5", "5", True), ("The result is\n-5", "-5", True), ("The result is\n-5", "5", False),
        ("x2 and B12", "12", False), ("It is 7 -\n5", "5", False),
    ],
)  # fmt: skip
def test_a_number_alone_on_a_line_is_read_whatever_the_line_before_ends_in(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Answer: $22.33", "$22.33", True), ("22.33", "$22.33", True), ("The item costs $22.33.", "$22.33", True),
        ("Answer: 22.33 dollars", "$22.33", True), ("Answer: $22.34", "$22.33", False),
        ("Answer: US$20", "$20", True), ("Answer: USD 20", "$20", True), ("Answer: €20", "$20", False),
        ("Answer: ¥20", "$20", False), ("Answer: 20 €", "€20", True), ("20 euros", "€20", True),
        ("EUR 20", "€20", True), ("Answer: 20", "€20", True), ("Answer: $20", "€20", False),
        ("Answer: 20 dollars", "€20", False), ("Answer: £20", "€20", False), ("20 pounds", "£20", True),
        ("20 pounds", "20 lb", True), ("20 lb", "£20", False), ("100 yen", "¥100", True), ("100 yuan", "¥100", True),
        ("￥100", "¥100", True), ("100 yuan", "100 yen", False), ("Rs. 500", "₹500", True), ("Answer: $5", "5", True),
        ("It costs $5 each, so $20.", "€20", False), ("It costs $5 each, so $20.", "$20", True),
    ],
)  # fmt: skip
def test_money_is_a_number_of_its_currency_and_a_reply_may_leave_the_sign_out(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Answer: 25 m²", "25 m^2", True), ("Answer: 25 square meters", "25 m^2", True), ("25", "25 m^2", True),
        (r"Answer: 25 \text{ m}^2", "25 m^2", True), ("Answer: 25 m", "25 m^2", False),
        ("Answer: 25 cm²", "25 m^2", False), ("3e8 m/s", "3 x 10^8 m/s", True),
        (r"3\times10^8 m/s", "3 x 10^8 m/s", True), (r"Answer: $3 \times 10^8$ m/s", "3 x 10^8 m/s", True),
        ("3e7 m/s", "3 x 10^8 m/s", False), ("3e8 km/h", "3 x 10^8 m/s", False),
    ],
)  # fmt: skip
def test_a_unit_with_a_power_is_a_unit_and_no_formula(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("p-q", "p - q", True), ("Answer: $p-q$", "p - q", True), ("p+q", "p - q", False), ("q-p", "p - q", False),
        ("6-5i", "6 - 5i", True), ("6+5i", "6 - 5i", False), ("y = 2x+3", "y = 2x + 3", True),
        ("Answer: 2x+3", "y = 2x + 3", True), ("z = 2x+3", "y = 2x + 3", False), ("y = 2x+4", "y = 2x + 3", False),
        ("x=5", "x = 5", True), ("5", "x = 5", True), ("y=5", "x = 5", False), ("x=6", "x = 5", False),
        ("x = 2 or x = 3", "x=2 or x=3", True), ("Answer: x = 3 or x = 2", "x=2 or x=3", True),
        ("x = 2", "x=2 or x=3", False), ("x = 2 or x = 4", "x=2 or x=3", False), ("2 : 3", "2:3", True),
        ("3:2", "2:3", False), (r"x \in [-2, 7]", r"x \in [-2,7]", True), ("Answer: [-2, 7]", r"x \in [-2,7]", True),
        ("Answer: [-2, 7)", r"x \in [-2,7]", False), ("Evelyn", r"\text{Evelyn}", True),
        ("The answer is Evelyn.", r"\text{Evelyn}", True), ("Eve Lyn", r"\text{Evelyn}", False),
        ("Answer: (C)", r"\text{(C)}", True), ("Answer: (B)", r"\text{(C)}", False), ("1000", r"1,\!000", True),
        ("100", r"1,\!000", False), ("NewYork", "New York", False), ("2024 - 02 - 29", "2024-02-29", False),
        ("1 2-3", "12-3", False),
    ],
)  # fmt: skip
def test_spaces_say_nothing_in_algebra_and_part_words_dates_and_numbers(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Answer: 7", "\u200f7\u200f", True), ("Answer: \u200b7", "7", True), ("Paris", "\ufeffParis", True),
        ("Pa\u00adris", "Paris", True), ("café 0", "café 0\u200b", True), ("O’Neil", "O'Neil", True),
        ("Jean‑Luc", "Jean-Luc", True), ("Neil", "O'Neil", False), ("JeanLuc", "Jean-Luc", False),
        ("❤", "❤️", True), ("Answer: \u200b8", "7", False),
    ],
)  # fmt: skip
def test_what_shows_nothing_says_nothing_and_an_editor_may_put_its_own_quotation_marks(reply, gold, right):
    judged(reply, gold, right)


def test_a_number_among_invisible_characters_is_a_number_and_two_of_them_are_none():
    assert is_number("\u200f7\u200f")
    assert not is_number("7 \u200b 8")


OBJECT = '{"name": "n0", "age": 0}'


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ('{"name":"n0","age":0}', OBJECT, True), ('{\n  "age": 0,\n  "name": "n0"\n}', OBJECT, True),
        ('```json\n{"name": "n0", "age": 0}\n```', OBJECT, True),
        ('Answer:\n```json\n{"name": "n0", "age": 0}\n```', OBJECT, True),
        ('Here it is:\n```json\n{"name": "n0", "age": 0}\n```\nDone.', OBJECT, True),
        ('{"name":"n1","age":0}', OBJECT, False), ('{"name":"n0"}', OBJECT, False),
        ('{"name":"n0","age":false}', OBJECT, False), ('{"name":"n0","age":0} or {"name":"n1","age":0}', OBJECT, False),
        ("```python\n[1, 2, 3]\n```", "[1, 2, 3]", True), ("The list is [1,2,3].", "[1, 2, 3]", True),
        ("[1,3,2]", "[1, 2, 3]", False), ("It is not [1, 2, 3]", "[1, 2, 3]", False),
        ("[0, 1] ∪ (2, 3)", "[0, 1]", False), ("[0, 1)", "[0, 1]", False),
        ("```sql\nSELECT * FROM t;\n```", "SELECT * FROM t;", True),
        ("Answer:\n```sql\nSELECT * FROM t;\n```", "SELECT * FROM t;", True),
        ("```sql\nSELECT a FROM t;\n```", "SELECT * FROM t;", False),
        ("```sql\nSELECT a\nFROM t;\n```", "SELECT a\nFROM t;", True),
    ],
)  # fmt: skip
def test_json_is_compared_by_what_it_holds_and_a_fence_names_its_language_for_nobody(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("10 a.m.", "10 a.m.", True), ("Answer: 10 am", "10 a.m.", True), ("10 p.m.", "10 a.m.", False),
        ("10", "10 a.m.", False), ("2:01 AM", "2:01 a.m.", True), ("Answer: 2:01 PM", "2:01 a.m.", False),
        ("3:45PM", "3:45 PM", True), ("3:54PM", "3:45 PM", False),
        ("Answer: *", "*", True), ("`*`", "*", True), ("**Answer:** *", "*", True), ("Answer: +", "*", False),
        ("Answer: `__init__`", "__init__", True), ("Answer: `__new__`", "__init__", False),
        ("Answer: `init`", "__init__", False), ("Answer: 5!", "5!", True), ("Answer: 5", "5!", False),
    ],
)  # fmt: skip
def test_a_time_of_day_and_what_is_made_of_signs_are_right_as_they_are_written(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("I don't think it is B", "B", False), ("The answer isn’t B", "B", False), ("I doubt it is B", "B", False),
        ("It can't be B", "B", False), ("I would rule out B", "B", False), ("I don't think it is B", "A", False),
        ("No doubt it is B", "B", True), ("The rule is clear: it is B", "B", True), ("It's B", "B", True),
        ("It's A dog", "A", False), ("The best choice would be B.", "B", True), ("It would not be B.", "B", False),
        ("Final answer: B ✅", "B", True), ("Final answer: B ❌", "B", False), ("Answer: B (not A)", "B", True),
        ("Answer: B (or A)", "B", False), ("Answer: A (a cat)", "A", True), ("Answer: B, I think", "B", True),
        ("No idea", "no", False), ("No doubt about it", "no", False), ("No, it is not", "no", True),
        ("No", "no", True),
    ],
)  # fmt: skip
def test_what_is_denied_is_not_chosen_and_what_is_said_clearly_is(reply, gold, right):
    judged(reply, gold, right)


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("Answer: (K)", "K", True), ("Option K", "K", True), ("k)", "K", True), ("I think it is K", "K", True),
        ("Answer: (L)", "K", False), ("K or L", "K", False), ("I think so", "I", False), ("A dog", "A", False),
        ("The mass is M, so the answer is B", "B", True), ("The answer is B since the mass is M", "B", True),
        ("B or K", "B", False), ("X", "X", True), ("The winner is X.", "X", True), ("O", "X", False),
    ],
)  # fmt: skip
def test_options_go_on_after_j_where_gold_does(reply, gold, right):
    judged(reply, gold, right)
    if len(gold) == 1:
        assert (extract(reply, "choice", gold) == gold) is right


def test_yes_in_other_kinds_of_json_stays_what_it_is():
    assert not same("[true]", "[1]")
    assert same('["A", 1.0]', '["a", 1]')


@pytest.mark.parametrize(
    "piece", ["```\n", "{", "[1,", "x = ", "5 a.", "not the ", "USD ", "\u200b", "- ", "``````\n "]
)
@pytest.mark.parametrize("gold", ["K", "$20", "x = 5", OBJECT, "[1, 2]", "*", "10 a.m.", "x=2 or x=3", "p - q"])
def test_none_of_this_takes_long(piece, gold):
    began = time.process_time()
    says(piece * 5_000, gold)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "reply",
    [
        "A is tempting, but B is right.",
        "A seems right but B is correct.",
        "A is partially correct, but B is the most complete.",
        "A is the most popular answer, yet option B is the best.",
        "A would be right if x were 2. B is right.",
        "A is a common mistake; B.",
        "A: x. B: y. C: z. Therefore C.",
        "A：错误。B：正确。",
    ],
)
def test_a_letter_that_begins_a_reply_is_no_choice_where_another_is_said_to_be_right(reply: str) -> None:
    assert extract(reply, "choice", "A") != "A"


@pytest.mark.parametrize(
    "reply",
    [
        "A is right. B is not right.",
        "A, because B is better than C only in winter.",
        "A is correct, while B is correct only if x > 2.",
        "Answer: A. B is close but wrong. So A.",
        "A. B is the best known city.",
    ],
)
def test_what_is_said_of_another_letter_beside_takes_no_choice_back(reply: str) -> None:
    assert extract(reply, "choice", "A") == "A"


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        ("The answer is B. X is right-skewed.", "B"),
        ("The answer is B. X is more accurate than Y.", "B"),
        ("The answer is B. N is the right number of moles.", "B"),
        ("Answer: B. A is a better-known fact but wrong.", "B"),
        ("B. The reasoning: step 1; A. Not this.", "B"),
        ("C because: x; y; b.", "C"),
        ("(D), though A is a better fit than B or C", "D"),
        ("The answer is B. C is more accurate than D.", "B"),
    ],
)
def test_what_is_no_option_or_but_conceded_takes_no_choice_back(reply: str, gold: str) -> None:
    assert extract(reply, "choice", gold) == gold
