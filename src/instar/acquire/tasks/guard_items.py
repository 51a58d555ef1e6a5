"""What a run is not to unlearn: small bundled sets of items, offline, written for this project by hand and by rule.

The items are this project's own and under its license (Apache 2.0): facts and words that every schoolbook has, in
sentences of ours. No public benchmark is in them. They are short and easy, for models of a few hundred million
parameters: a guard needs an ability that is there to be lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

Kind = Literal["facts", "instructions", "simple", "arithmetic", "all"]

_CAPITALS = """France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Austria Vienna, Poland Warsaw,
Greece Athens, Hungary Budapest, Sweden Stockholm, Norway Oslo, Denmark Copenhagen, Finland Helsinki, Ireland Dublin,
Belgium Brussels, Switzerland Bern, Russia Moscow, Ukraine Kyiv, Turkey Ankara, Egypt Cairo, Kenya Nairobi,
Ethiopia Addis_Ababa, Nigeria Abuja, Morocco Rabat, Japan Tokyo, China Beijing, India New_Delhi, Thailand Bangkok,
Vietnam Hanoi, Indonesia Jakarta, Philippines Manila, South_Korea Seoul, Iran Tehran, Iraq Baghdad, Israel Jerusalem,
Pakistan Islamabad, Nepal Kathmandu, Australia Canberra, New_Zealand Wellington, Canada Ottawa, Mexico Mexico_City,
Cuba Havana, Brazil Brasilia, Argentina Buenos_Aires, Chile Santiago, Peru Lima, Colombia Bogota, Ecuador Quito,
Uruguay Montevideo, Venezuela Caracas, Iceland Reykjavik, Romania Bucharest, Bulgaria Sofia, Croatia Zagreb,
Serbia Belgrade, Scotland Edinburgh, England London, Wales Cardiff, Syria Damascus, Lebanon Beirut"""
_YOUNG = """dog puppy, cat kitten, cow calf, horse foal, sheep lamb, goat kid, pig piglet, duck duckling, goose gosling,
lion cub, deer fawn, frog tadpole, hen chick, swan cygnet, kangaroo joey"""
_PLAIN_FACTS = """How many days are in a week?|7;How many months are in a year?|12;How many legs does a spider have?|8;
How many legs does an insect have?|6;How many minutes are in an hour?|60;How many seconds are in a minute?|60;
How many hours are in a day?|24;What do bees make?|honey;What gas do plants take in from the air?|carbon dioxide;
Which planet do we live on?|Earth;What is frozen water called?|ice;Which star is closest to the Earth?|Sun;
What color is the sky on a clear day?|blue;What color is grass?|green;What color is snow?|white;
What color is a ripe banana?|yellow;Which ocean lies between Europe and America?|Atlantic;
Who wrote Romeo and Juliet?|Shakespeare;Which animal is called the king of the jungle?|lion;
Which organ pumps blood through the body?|heart;Which organ do we think with?|brain;With which organ do we see?|eye;
Which is the largest planet of the solar system?|Jupiter;Which planet is called the red planet?|Mars;
How many continents are there?|7;How many sides does a triangle have?|3;How many sides does a square have?|4;
Which metal is a magnet made of?|iron;In which country are the pyramids of Giza?|Egypt;
In which country is the Great Wall?|China;In which city is the Eiffel Tower?|Paris;
In which city is the Colosseum?|Rome;Which language is spoken in Brazil?|Portuguese;
Which language is spoken in Austria?|German;Which language is spoken in Mexico?|Spanish"""
_OPPOSITES = """hot cold, big small, up down, day night, black white, fast slow, old young, happy sad, open closed,
full empty, hard soft, high low, light dark, long short, rich poor, strong weak, wet dry, good bad, first last,
early late, loud quiet, clean dirty, heavy light, near far, right wrong, true false, thick thin, wide narrow,
deep shallow, sweet sour, inside outside, before after, above below, begin end, buy sell, give take, win lose,
push pull, love hate, laugh cry, remember forget, arrive leave, alive dead, safe dangerous, easy difficult, cheap
expensive, smooth rough, sharp blunt, noisy silent, north south, east west, left right, summer winter, morning evening,
friend enemy, question answer, success failure, war peace, beautiful ugly, front back"""
_PLURALS = """child children, man men, woman women, foot feet, tooth teeth, goose geese, mouse mice, leaf leaves, knife
knives, wolf wolves, wife wives, life lives, city cities, baby babies, story stories, box boxes, bus buses, dish dishes,
church churches, potato potatoes, tomato tomatoes, hero heroes, person people, ox oxen, half halves, shelf shelves,
party parties, lady ladies, key keys, toy toys, day days, glass glasses, fox foxes, brush brushes, watch watches"""
_PASTS = """go went, eat ate, see saw, run ran, come came, give gave, take took, write wrote, speak spoke, drink drank,
sing sang, swim swam, begin began, fly flew, know knew, grow grew, throw threw, break broke, choose chose, drive drove,
ride rode, rise rose, fall fell, feel felt, find found, think thought, bring brought, buy bought, catch caught, teach
taught, keep kept, sleep slept, leave left, lose lost, make made, pay paid, say said, sell sold, tell told, win won"""
_WORDS = """apple river stone window garden paper bridge candle mirror basket pencil ladder button carpet cloud forest
island jacket kettle lemon market needle orange pillow rabbit silver ticket valley winter yellow anchor blanket copper
dragon engine flower guitar hammer insect jungle"""
_ANIMALS = "dog cat horse cow pig sheep lion tiger bear wolf mouse rabbit duck goose eagle fish frog snake monkey goat"
_THINGS = "table chair window bridge spoon bottle paper stone pencil lamp carpet ladder button mirror basket hammer"
_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


class GuardItems(Source):
    """One of the bundled sets: ``facts`` (general knowledge), ``instructions`` (an answer of a given form, to the
    letter), ``simple`` (simple language: opposites, plurals, past tenses, which word is an animal), ``arithmetic``
    (number words, the larger of two, the next of a row, halves and doubles), ``all`` of them.

    Their answers are told right by ``verify`` with ``checker = "guard_item"`` and ``extract = "text"``. Raises
    DataError where more are wanted than there are.
    """

    name: ClassVar[str] = "guard_items"

    of: Kind = "all"

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        left = sorted(items(self.of), key=lambda t: t.canonical)
        there = len(left)
        drawn: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            random.Random(f"{name}|{seeds.get(name, 0)}").shuffle(left)
            if len(left) < wanted[name]:
                raise DataError(
                    f"guard_items has {there} items of {self.of}, and {sum(wanted.values())} are wanted.",
                    "Ask for fewer.",
                )
            drawn[name], left = left[: wanted[name]], left[wanted[name] :]
        return {name: drawn[name] for name in wanted}


def items(of: Kind) -> list[Task]:
    """All items of a set."""
    found: dict[str, Task] = {}
    for kind, (made, told_by) in _SETS.items():
        for part, question, private in made() if of in (kind, "all") else ():
            key = canonical(question)
            found.setdefault(key, Task(
                messages=(Message(role=Role.user, content=question),), ability=f"{kind}/{part}", canonical=key,
                source=f"guard_items/{kind}", private={**private, "told_by": told_by},
            ))  # fmt: skip
    return list(found.values())


Item = tuple[str, str, dict[str, Any]]
"""Which part of a set, the question, its private data."""


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.replace("\n", " ").split(","):
        a, b = pair.split()
        yield a.replace("_", " "), b.replace("_", " ")


def _facts() -> Iterator[Item]:
    for country, capital in _pairs(_CAPITALS):
        yield "capitals", f"What is the capital of {country}?", {"answer": capital}
        yield "countries", f"{capital} is the capital of which country?", {"answer": country}
    for animal, young in _pairs(_YOUNG):
        yield "animals", f"What is a young {animal} called?", {"answer": young}
    for line in _PLAIN_FACTS.replace("\n", "").split(";"):
        question, answer = line.split("|")
        yield "everyday", question, {"answer": answer}


def _simple() -> Iterator[Item]:
    for word, opposite in _pairs(_OPPOSITES):
        yield "opposites", f"What is the opposite of '{word}'?", {"answer": opposite}
    for word, plural in _pairs(_PLURALS):
        yield "plurals", f"What is the plural of '{word}'?", {"answer": plural}
    for word, past in _pairs(_PASTS):
        yield "pasts", f"What is the past tense of '{word}'?", {"answer": past}
    drawn = random.Random("animals")
    for animal in _ANIMALS.split():
        for _ in range(5):
            others = drawn.sample(_THINGS.split(), 2)
            words = drawn.sample([animal, *others], 3)
            question = f"Which of these words is an animal: {', '.join(words)}?"
            yield "animals", question, {"answer": animal, "others": others}


def _instructions() -> Iterator[Item]:
    drawn, words, ones = random.Random("instructions"), _WORDS.split(), _ONES.split()
    for word in words:
        times = drawn.choice([2, 3, 4])
        yield (
            "repeat",
            f"Write the word '{word}' {ones[times]} times, with spaces between.",
            {"answer": " ".join([word] * times)},
        )
        yield "capitals", f"Write the word '{word}' in capital letters.", {"answer": word.upper()}
        yield "alone", f"Reply with the word '{word}' and nothing else.", {"answer": word}
        three = [word, *drawn.sample([w for w in words if w != word], 2)]
        yield "commas", f"Write these words with commas between them: {' '.join(three)}", {"answer": ", ".join(three)}
        yield "quotes", f"Write the word '{word}' between two stars, like *this*.", {"answer": f"*{word}*"}


def _arithmetic() -> Iterator[Item]:
    drawn = random.Random("arithmetic")
    for n in range(10, 100):
        yield "words", f"Write the number {_in_words(n)} in digits.", {"answer": str(n)}
        other = drawn.choice([m for m in range(10, 100) if m != n])
        yield "larger", f"Which number is larger, {n} or {other}?", {"answer": str(max(n, other))}
        step = drawn.choice([1, 2, 3, 5, 10])
        row = ", ".join(str(n + i * step) for i in range(4))
        yield "rows", f"Which number comes next: {row}?", {"answer": str(n + 4 * step)}
        if n <= 50:
            yield "doubles", f"What is twice {n}?", {"answer": str(2 * n)}
            yield "halves", f"What is half of {2 * n}?", {"answer": str(n)}


def _in_words(n: int) -> str:
    below_twenty = _ONES.split()
    if n < 20:
        return below_twenty[n]
    tens, ones = _TENS.split()[n // 10 - 2], n % 10
    return f"{tens}-{below_twenty[ones]}" if ones else tens


_SETS: Mapping[str, tuple[Callable[[], Iterator[Item]], str]] = {
    "facts": (_facts, "mentions"),
    "instructions": (_instructions, "verbatim"),
    "simple": (_simple, "mentions"),
    "arithmetic": (_arithmetic, "number"),
}
