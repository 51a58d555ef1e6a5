"""What kind of error a wrong answer is, by rule: nobody is asked, and the same answer is always of the same kind."""

from __future__ import annotations

import re
from fractions import Fraction

from instar.extract.choices import family, letters
from instar.extract.numbers import number
from instar.extract.same import plain_words
from instar.records import Finish

LONGEST = 2_000
"""Characters of a question that are looked at: it is anybody's words."""
_NUMBER = re.compile(r"(?<![\w.])(?:(?<=[\s(=])-|(?<!.)-)?\d{1,30}(?:\.\d{1,30})?(?!\w)")
"""A number of a question, in a sum too, which ``extract.numbers`` reads as no number but a sum."""


def kind_of_error(question: str, gold: str | None, answer: str | None, finish: str = Finish.stop) -> str:
    """What is wrong with an answer that was marked wrong, in a few words; the first of these rules that fits.

    Not read: cut off (an episode: not over in its turns), or none found. Numbers: the sign, one off, a carry (off by a
    power of ten), digits swapped, a digit too many or too few, another operation on the question's two numbers, a
    number of the question, another number. Else: the form (the right words within others), another choice, other words.
    """
    if answer is None or not answer.strip():
        if finish != Finish.length:
            return "no answer could be read"
        return "not over in its turns or tokens" if gold is None else "cut off before an answer"
    if gold is None:
        return "judged wrong"
    wanted, given = number(gold), number(answer)
    if wanted is None:
        return _of_words(gold, answer)
    if given is None:
        return "not a number"
    if given == wanted:
        return "the right number in another form"
    return _of_numbers([Fraction(n) for n in _NUMBER.findall(question[:LONGEST])], wanted, given)


def form_of(gold: str | None) -> str:
    """The form of a right answer: a whole number, a negative one, a fraction or decimal, a choice, yes or no, words."""
    if gold is None:
        return "no gold answer"
    wanted = number(gold)
    if wanted is not None:
        return "fraction or decimal" if wanted.denominator != 1 else "negative number" if wanted < 0 else "whole number"
    if letters(gold) is not None or (len(gold.strip(" ().")) == 1 and gold.strip(" ().").isalpha()):
        return "choice"
    return "yes or no" if family(gold) is not None else "words"


def length_of(question: str) -> str:
    """How long a question is: by its numbers where it has two or more, else by its words."""
    found = len(_NUMBER.findall(question[:LONGEST]))
    if found > 1:
        return f"{found} numbers" if found < 6 else "6 or more numbers"
    words = len(question.split())
    return "up to 10 words" if words <= 10 else "11 to 40 words" if words <= 40 else "more than 40 words"


def _of_numbers(asked: list[Fraction], wanted: Fraction, given: Fraction) -> str:
    off = abs(given - wanted)
    if given == -wanted:
        return "the sign"
    if len(asked) == 2 and given in _operations(*asked) - {wanted}:
        return "another operation"
    if given in asked:
        return "a number of the question"
    if off == 1:
        return "one off"
    if off.denominator == 1 and set(str(off)[1:]) == {"0"} and str(off)[0] == "1":
        return "a carry (off by a power of ten)"
    one, two = str(abs(wanted)), str(abs(given))
    if sorted(one) == sorted(two):
        return "digits swapped"
    if len(one) != len(two) and (one in two or two in one):
        return "a digit too many or too few"
    return "another number"


def _operations(a: Fraction, b: Fraction) -> set[Fraction]:
    return {a + b, a - b, b - a, a * b, *([a / b] if b else [])}


def _of_words(gold: str, answer: str) -> str:
    if form_of(gold) in ("choice", "yes or no"):
        return "another choice" if form_of(answer) == form_of(gold) else "no choice"
    said, right = plain_words(answer), plain_words(gold)
    return "the right words in another form" if right in said or said in right else "other words"
