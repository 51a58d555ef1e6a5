import time

import pytest

from instar.extract import extract, is_number


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("3 + 4 = 7\nAnswer: 7", "7"),
        ("Answer: 7.", "7"),
        ("**Answer:** 7", "7"),
        ("**Answer: 7**", "7"),
        ("Answer: <7>", "7"),
        ("Answer: 3 + 4 = 7", "7"),
        ("Answer: 7 (since 3 and 4)", "7"),
        ("Answer: 7\nI used 3 and 4.", "7"),
        ("Answer: 5\nNo, wait.\nAnswer: 6", "6"),
        ("the answer is 9 apples", "9"),
        ("Answer: 8 because the answer is simple", "8"),
        ("Answer: 4\nAnswer:", "4"),
        ("Answer: $1,234.50", "1234.50"),
        ("Answer: -12", "-12"),
        ("Answer: −12", "-12"),  # noqa: RUF001 - look-alike signs are meant
        ("Answer: 3 / 4", "3/4"),
        ("<answer>42</answer> done 3", "42"),
        ("so it is #### 72", "72"),
        ("Answer: seven", "seven"),
        ("we get 12 and then 15", "15"),
        ("Answer:\n31", "31"),
    ],
)
def test_auto_takes_the_marked_number_and_else_the_last(reply, answer):
    assert extract(reply, "auto", "1") == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("5-3", None),
        ("it is -3", "-3"),
        ("(-3)", "-3"),
        ("1,234,567 people", "1234567"),
        ("1, 2, 3", None),
        ("1,2345", None),
        ("+4", "4"),
        ("x2 and 7.", "7"),
        (".5", ".5"),
        ("1e3", "1e3"),
        ("none here", None),
        ("", None),
    ],
)
def test_the_last_number_is_read_with_its_sign_and_thousands(reply, answer):
    assert extract(reply, "last_number") == answer


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("Answer: (B)", "B"),
        ("B.", "B"),
        ("The answer is B", "B"),
        ("Answer: **C**", "C"),
        ("answer: d", "D"),
        ("I think (A) or rather (C)", "C"),
        ("Answer: a dog", None),
        ("I am not sure", None),
        ("Answer: K", None),
    ],
)
def test_a_choice_is_one_letter_and_the_word_i_is_none(reply, letter):
    assert extract(reply, "choice") == letter


def test_text_answers_keep_their_shape_and_lose_only_decoration_that_gold_has_not():
    assert extract("I say\nAnswer: **Paris**.", "auto", "Rome") == "Paris"
    assert extract("Paris.", "auto", "Rome") == "Paris"
    assert extract("Answer: $x$", "auto", "$y$") == "$x$"
    assert extract("Answer:\n1 2\n3 4", "auto", "9 9\n9 9") == "1 2\n3 4"
    assert extract("thus\nAnswer: B", "auto", "C") == "B"


def test_the_gold_answer_leads_to_its_kind_and_never_to_its_value():
    reply = "I considered 41, 42 and 43. Answer: 41"
    assert {extract(reply, "auto", gold) for gold in ("41", "42", "7")} == {"41"}


def test_only_an_answer_line_counts_where_it_is_asked_for():
    assert extract("it is 7", "answer_line") is None
    assert extract("Answer: 7 or so", "answer_line") == "7 or so"


@pytest.mark.parametrize("piece", ["1,111", "answer ", "Answer:", "((((", "1/", "-+", " ", "9", "*_*", "####"])
@pytest.mark.parametrize("how", ["auto", "answer_line", "last_number", "choice", "text"])
def test_no_text_takes_long(piece, how):
    started = time.monotonic()
    extract(piece * 300_000, how, "1")
    assert time.monotonic() - started < 0.5


def test_what_counts_as_a_number():
    assert all(map(is_number, ["7", "-0.5", "1,234", "3/4", ".5", " 12 "]))
    assert not any(map(is_number, ["", ".", "a", "1 2", "1,23", "05:30", "7 apples", "-"]))


def test_an_answer_longer_than_what_is_usually_looked_at_is_found_whole():
    gold = "\n".join(f"Move disk {i} from Peg 1 to Peg 2" for i in range(400))
    assert extract("Let me see.\nAnswer: " + gold, "auto", gold) == gold
    assert extract("Answer: 7" + " so" * 5_000, "auto", "7") is None  # a marker long before the end is not the answer
