import random
import time

import pytest

from instar.refine.edit_distance import edit_distance
from instar.refine.equations import calculation, equations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3 + 4 = 7", ["3+4=7"]),
        ("First <<3+4=7>> and then $7 × 2 = $14.", ["3+4=7", "7*2=14"]),  # noqa: RUF001 - look-alike signs are meant
        ("2 * 3 = 6, so 6 + 1 = 7", ["2*3=6", "6+1=7"]),
        ("12 + 5 = 10 + 7 = 17", ["12+5=10+7", "10+7=17"]),
        ("1,000 + 01 = 1,001.0", ["1000+1=1001"]),
        ("- 3 + 4 = 7\n2. 5 x 6 = 30\n(1 + 2) * 3 = 9", ["3+4=7", "5*6=30", "(1+2)*3=9"]),
        (r"so \(12 \div 4 = 3\)", ["12/4=3"]),
        ("a = -3 + 5 = 2", ["-3+5=2"]),
        ("x = 7, and 7 = 7", []),
        ("3 apples + 4 apples = 7 apples", []),
        ("2 apples - 3 * 2 = 5", []),
        ("2x + 3 = 7, 2**3 + 1 = 9, 2 ** 3 + 1 = 9, x^2 + 1 = 5, sqrt(9) + 1 = 4", []),
        ("1/2 = 50%, 7 / 2 = 3 R 1, 1 + 1/2 = 1 1/2, 10/3 = 3.3..., 3 + 4 = 7 + x", []),
        ("3 + 4 == 7, 3 + 4 >= 7", []),
        ("", []),
    ],
)
def test_calculations_are_read_and_what_cannot_be_read_is_none(text, found):
    read = equations(text)
    assert [str(e) for e in read] == found
    assert all(e.holds(1e-3) for e in read)


@pytest.mark.parametrize("text", ["3 + 4 = 8", "10 / 3 = 3.33", "5 / 0 = 5", "0 = 0 and 2 * 3 = 5"])
def test_a_wrong_calculation_does_not_hold(text):
    assert not all(e.holds(1e-3) for e in equations(text))


def test_a_value_is_exact_and_the_tolerance_is_the_one_given():
    (third,) = equations("10 / 3 = 3.333")
    assert third.holds(1e-3)
    assert not third.holds(1e-4)
    (tenths,) = equations("0.1 + 0.2 = 0.3")
    assert tenths.holds(0.0)


@pytest.mark.parametrize(
    "text",
    ["(" * 9_000 + "= 3", "1 + " * 9_000 + "1 = 3", "1=" * 9_000, "9" * 9_000 + " + 1 = 5", "__import__('os') = 3",
     "9**9**9**9 = 3", "\x00 + 1 = 2", "1 " * 9_000 + "= 2"],
)  # fmt: skip
def test_hostile_text_costs_nothing_and_raises_nothing(text):
    began = time.perf_counter()
    equations(text)
    assert time.perf_counter() - began < 1.0


def test_the_edit_distance_is_that_of_the_table():
    def table(a, b):
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            new = [i]
            for j, y in enumerate(b, 1):
                new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
            row = new
        return row[-1]

    luck = random.Random(1)
    for _ in range(500):
        a, b = ("".join(luck.choice("abc") for _ in range(luck.randint(0, 12))) for _ in range(2))
        assert edit_distance(a, b) == table(a, b), (a, b)
    assert edit_distance("kitten", "sitting") == 3


@pytest.mark.parametrize(
    ("text", "expression", "value"),
    [
        ("3 + 4", "3 + 4", "7"),
        ("Sure!\nThe calculation is: 1,200 - 3 × 2 =", "1200 - 3 * 2", "1194"),  # noqa: RUF001 - a look-alike sign is meant
        ("3 + 4 = 9 + 9", "3 + 4", "7"),
        ("(1.5 + 0.5) / 4", "( 1.5 + 0.5 ) / 4", "1/2"),
        ("- 3 + 4", "3 + 4", "7"),
    ],
)
def test_the_calculation_that_a_text_asks_for_is_worked_out(text, expression, value):
    found = calculation(text)
    assert found is not None
    assert (found[0], str(found[1])) == (expression, value)


@pytest.mark.parametrize(
    "text", ["", "7", "x + 4", "3 +", "2 ** 3", "import os", "f(3 + 4", "3 + 4%", "9" * 99 + " + 1"]
)
def test_what_is_not_a_calculation_that_can_be_read_whole_is_none(text):
    assert calculation(text) is None


def test_a_division_by_zero_is_a_calculation_without_a_value_and_long_text_is_read_fast():
    assert calculation("4 / (2 - 2)") == ("4 / ( 2 - 2 )", None)
    began = time.monotonic()
    calculation("1 + " * 100_000)
    calculation("(" * 100_000 + "1 + 1")
    assert time.monotonic() - began < 2
