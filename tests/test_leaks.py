"""What was made against what is held out: every planted copy is found, and nearly every one that is told otherwise."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from instar.leaks import Index, asked_again, content_of
from instar.memory.exam import repeated
from instar.similarity import near_duplicates, shared_words

NAMES = ("Anna", "Tom", "Mira", "Joe", "Lena", "Omar", "Ida", "Paul")
THINGS = ("apples", "marbles", "stamps", "pencils", "cards", "shells", "books", "coins")
PLACES = ("harbour", "library", "museum", "station", "bakery", "bridge", "garden", "tower")
TOWNS = ("Arlen", "Borvik", "Castrel", "Dunmar", "Elsby", "Farnow", "Gothra", "Hellin", "Istrad", "Jorvik")
UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
WORDED = dict(zip(UNITS, range(13), strict=True))


def sums(luck: random.Random) -> str:
    signs = [luck.choice("+-*") for _ in range(luck.choice((1, 1, 2)))]
    parts = [str(luck.randint(0, 99))] + [f"{s} {luck.randint(0, 99)}" for s in signs]
    return f"State the final answer to the following arithmetic problem: {' '.join(parts)} ="


def divisor(luck: random.Random) -> str:
    a, b = luck.randint(2, 999), luck.randint(2, 999)
    return f"Find the Greatest Common Divisor (GCD) of these numbers: {a}, {b}. Give only the GCD as your final answer."


def story(luck: random.Random) -> str:
    who, what = luck.choice(NAMES), luck.choice(THINGS)
    a, b = luck.randint(2, 60), luck.randint(2, 60)
    return f"{who} has {a} {what}. A friend brings {b} more. How many {what} does {who} have now?"


def fact(luck: random.Random) -> str:
    place, town = luck.choice(PLACES), luck.choice(TOWNS)
    who = f"{luck.choice(NAMES)} {luck.choice('ABCDEFGHKLMNPRSTW')}{luck.choice(('erling', 'olvane', 'istrom'))}"
    return f"Who opened the {place} of {town} after the {luck.choice(THINGS)} merchant {who} left the council?"


KINDS: tuple[Callable[[random.Random], str], ...] = (sums, divisor, story, fact)


def otherwise(text: str, luck: random.Random) -> str:
    """The same question by a rule: another frame, signs or numbers in words, another order, other letters."""
    expression = re.search(r"\d+(?: [-+*] \d+)+", text)
    rules: list[Callable[[str], str]] = [
        lambda t: f"Please answer this question: {t}",
        lambda t: t.upper(),
        lambda t: re.sub(r"\s+", "  ", t).replace("?", " ?").replace(".", " ."),
        lambda t: f"{t} Give the answer only.",
        lambda t: re.sub(r"\b(\d|1[0-2])\b", lambda m: UNITS[int(m.group())], t),
    ]
    if expression is not None:
        said = expression.group()
        rules += [
            lambda _: f"What is {said}?",
            lambda _: f"Calculate {said.replace(' + ', ' plus ').replace(' - ', ' minus ').replace('*', '×')}.",  # noqa: RUF001 - the sign is meant
        ]
        if re.fullmatch(r"\d+ [+*] \d+", said):
            rules.append(lambda _: f"Work out {' '.join(reversed(said.split()))}")
    else:
        rules += [
            lambda t: " ".join(reversed(re.split(r"(?<=[.?]) ", t))),
            lambda t: t.replace("How many", "Can you tell me how many").replace("Who opened", "Tell me who opened"),
            lambda t: re.sub(r"numbers: (\d+), (\d+)", r"numbers: \2, \1", t),
        ]
    return luck.choice(rules)(text)


def test_of_10000_made_tasks_every_planted_copy_is_found_and_95_in_100_of_those_told_otherwise() -> None:
    luck = random.Random(20261127)
    held = list(dict.fromkeys(KINDS[i % 4](luck) for i in range(1200)))
    contents = {content_of(t) for t in held}
    fresh = [t for t in (KINDS[i % 4](luck) for i in range(9400)) if content_of(t) not in contents]
    copies = luck.sample(held, 400)
    told = [otherwise(t, luck) for t in luck.sample(held, 400)]
    made = [(t, "fresh") for t in fresh] + [(t, "copy") for t in copies] + [(t, "told otherwise") for t in told]
    luck.shuffle(made)
    assert len(made) > 9_500
    began = time.process_time()
    found = asked_again([t for t, _ in made], held)
    seconds = time.process_time() - began
    caught = {k: sum(f is not None for f, (_, kind) in zip(found, made, strict=True) if kind == k)
              for k in ("fresh", "copy", "told otherwise")}  # fmt: skip
    print(f"{len(made):,} made against {len(held):,} held out in {seconds:.1f} s of processor: {caught}")
    assert caught["copy"] == len(copies)
    assert caught["told otherwise"] >= 0.95 * len(told)
    assert caught["fresh"] <= 0.05 * len(fresh)  # what is dropped for nothing
    assert seconds < 30


@pytest.mark.parametrize(
    ("held", "made"),
    [
        ("Calculate 12 + 7.", "What is seven plus 12?"),
        ("Calculate 12 - 7.", "Subtract 7 from 12"),
        ("What is 4 x 25?", "the product of 25 and 4"),
        ("What is 1,200 / 4?", "Please compute 1200 ÷ 4 ="),
        ("Find the gcd of 26 and 760.", "GCD of 760, 26?"),
        ("Tom has 3 apples and buys 14 more. How many apples?", "How many apples? Tom buys fourteen more, and has 3."),
        ("Which city is the capital of France?", "Say which CITY is France's capital"),
    ],
)
def test_a_question_in_other_words_is_the_same_question(held: str, made: str) -> None:
    assert Index([held, "Name a colour of the rainbow.", "What is 1 + 1?"]).of(made) == 0


@pytest.mark.parametrize(
    ("held", "made"),
    [
        ("Calculate 12 - 7.", "Calculate 7 - 12."),
        ("Calculate 12 + 7.", "Calculate 12 * 7."),
        ("Calculate (2 + 3) * 4.", "Calculate 2 + 3 * 4."),
        ("Find the gcd of 26 and 760.", "Find the lcm of 26 and 760."),
        ("Which city is the capital of France?", "Which city is the capital of Spain?"),
        ("Calculate 12 + 7.", "   "),
    ],
)
def test_another_question_is_not(held: str, made: str) -> None:
    assert Index([held]).of(made) is None


@pytest.mark.parametrize("unseen", ["\u00ad", "\u200b", "\u2060", "\ufe0f", "\u200d", "\U000e0061"])
def test_a_copy_with_signs_in_it_that_nobody_sees_is_a_copy(unseen: str) -> None:
    held = ["Which river flows through the old capital of the kingdom of Vellorn?", "What is 12 + 45?"]
    made = [unseen.join(text) for text in held]
    assert asked_again(made, held) == [0, 1]
    assert repeated(made, held) == [True, True]
    assert shared_words(made, held, 8) != [None, None]
    assert near_duplicates(made, against=held) == [("against", 0), ("against", 1)]


def test_what_all_items_of_a_template_say_tells_none_of_them_from_another() -> None:
    luck = random.Random(7)
    held = list(dict.fromkeys(fact(luck) for _ in range(300)))
    others = [t for t in (fact(luck) for _ in range(300)) if t not in held]
    wrong = sum(f is not None for f in asked_again(others, held))
    assert wrong <= 0.1 * len(others)
    assert asked_again(held, held) != [None] * len(held)


def test_what_is_looked_at_hangs_on_no_seed_of_hashes() -> None:
    code = (
        "from instar.leaks import Index\n"
        "held = [f'Which {a} lies near {b} beside {c}?' for a in ('river', 'lake', 'hill') for b in ('Oslo', 'Rome', "
        "'Kiel', 'Bern', 'Graz') for c in ('north', 'south', 'east', 'west', 'mill', 'gate')]\n"
        "index = Index(held)\n"
        "from instar.leaks import content_of\n"
        "print(index._candidates(content_of('Which river and lake lies near Oslo and Rome beside mill and gate?')))\n"
    )
    said = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
                       text=True, check=True).stdout for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
    assert len(said.pop().split(",")) == 64


CHINESE = (
    "小明有12个苹果，又买了5个，他现在一共有多少个苹果？",
    "请计算 12 加 45 等于多少？",
    "阿伦港的图书馆是谁在大火之后重建的？",
    "这是什么？",
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("小明手里有１２个苹果，后来又买了５个。请问他现在一共有几个苹果？", 0),
        ("45加上12是多少", 1), ("12 + 45 = ?", 1),
        ("大火之后，阿伦港的图书馆由谁重建？", 2), ("这是什么？", 3), ("这个呢？", None),
        ("小红有12本书，又买了5本，一共多少本？", None), ("请计算 13 加 45 等于多少？", None), ("45减去12是多少", None),
        ("阿伦港的博物馆是谁在洪水之前拆掉的？", None),
    ],
)  # fmt: skip
def test_a_question_without_blanks_between_its_words_is_known_again_in_others(text: str, place: int | None) -> None:
    assert asked_again([text], CHINESE) == [place]
