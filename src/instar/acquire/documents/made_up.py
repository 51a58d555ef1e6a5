"""Short articles about things that do not exist: whoever knows a fact of theirs has read it there.

Written by rule, the same for the same world. Each article tells one value of each of six kinds, and asks for it in
words that the article does not use; no value stands in two articles of a world.
"""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from instar.acquire.documents.read import Document
from instar.records import hash_of


class Kind(NamedTuple):
    """A kind of thing: what an article says of it, by the kind of its value, and how that is asked elsewhere."""

    name: str
    told: dict[str, str]
    asked: dict[str, str]


class Article(NamedTuple):
    """A made-up thing: its name, its text, and its values by their kind."""

    title: str
    kind: Kind
    text: str
    values: dict[str, str]

    @property
    def document(self) -> Document:
        """As if it had been read from a file."""
        name = f"{self.title.lower().replace(' ', '_')}.md"
        return Document(
            name, hash_of("article", self.title, self.text).split(":")[-1], f"# {self.title}\n\n{self.text}\n"
        )


_FIRST = """Agnes Albin Berta Bjarne Cecil Celia Dagmar Derek Edwin Elsa Erwin Fiona Gerda Gilbert Hanna Harald Hilda
Ingrid Ivo Jasper Johanna Kaspar Laura Leopold Lydia Magnus Martha Maurice Nadia Norbert Odette Otto Petra Quentin
Ralph Regina Rupert Selma Silas Stella Thelma Theodor Ursula Vera Walter Wanda Xavier Yvonne"""
_LAST = """Abbott Barlow Bexley Calder Carver Chandler Crane Dalton Draper Ellis Falk Fenwick Fletcher Garner Gray
Hagen Harker Holm Hurst Ibsen Keller Kemp Lambert Lund Marsh Mercer Moss Nash Norden Orchard Palmer Pike Quill Rankin
Reed Sadler Sawyer Stark Strand Tanner Thorn Tyler Vance Voss Walsh Weaver Winter Yates"""
_MONTHS = """January February March April May June July August September October November December"""
_COLOURS = """Amber Bronze Copper Crimson Golden Green Grey Ivory Quiet Red Scarlet Silent Silver White Wild Yellow Blue
Broken Brown Bright"""
_THINGS = """Anchor Apple Arrow Badger Basket Candle Crow Falcon Feather Fox Hammer Heron Horse Ladder Lantern Lion
Mirror Needle Otter Owl Pearl Rose Spoon Swan Thistle Wheel Wolf Crown Harp Kettle"""
_BEGIN = "Bar Bel Cor Dal Dor El Fen Gal Hal Is Jor Kel Lor Mar Nor Or Pel Quar Ras Sel Tal Ul Var Wes Yor Zan"
_MIDDLE = "a e i o u an en in on ar er or al el il"
_END = "bek dane dor fell gard holt jun lith mere mond nock pool quin rath stow thorpe vik wick zell burn"

KINDS = (
    Kind("town", {
        "year": "{t} was founded as a town in {v}.", "person": "The first mayor of {t} was {v}.",
        "number": "The church tower of {t} is {v} feet high.", "date": "The people of {t} hold their fair on {v}.",
        "place": "The river that runs through {t} is called the {v}.", "thing": "The oldest inn of {t} is the {v}.",
    }, {
        "year": "How old is the town {t}? Give the year in which it began.",
        "person": "Name the man or woman who led the council of the town {t} before anybody else.",
        "number": "Give the height, in feet, of what rises above the roofs of the town {t}.",
        "date": "Name the day and month on which stalls fill the streets of the town {t}.",
        "place": "Name the water on whose banks the town {t} lies.",
        "thing": "A traveller wants the most ancient tavern of the town {t}. Give its name.",
    }),
    Kind("ship", {
        "year": "The ship {t} was launched in {v}.", "person": "The captain of the {t} was {v}.",
        "number": "The {t} carried {v} passengers.", "date": "The {t} set out on its last voyage on {v}.",
        "place": "The home port of the {t} was {v}.", "thing": "The figurehead of the {t} was a {v}.",
    }, {
        "year": "Give the year in which the vessel {t} first touched water.",
        "person": "Name the commander of the vessel {t}.",
        "number": "State how many travellers the vessel {t} had room for.",
        "date": "Name the day and month on which the vessel {t} left and never came back.",
        "place": "Name the harbour to which the vessel {t} belonged.",
        "thing": "Say what was carved on the bow of the vessel {t}.",
    }),
    Kind("mountain", {
        "year": "The mountain {t} was first climbed in {v}.", "person": "The first climber of {t} was {v}.",
        "number": "The hut on {t} has {v} beds.", "date": "The path to {t} opens each year on {v}.",
        "place": "The village at the foot of {t} is {v}.", "thing": "The steepest ridge of {t} is called the {v}.",
    }, {
        "year": "Give the year in which somebody reached the summit {t} for the first time.",
        "person": "Name whoever stood on the summit {t} before all others.",
        "number": "State how many people can sleep in the shelter of the summit {t}.",
        "date": "Name the day and month from which hikers may walk up the summit {t}.",
        "place": "Name the settlement below the summit {t}.",
        "thing": "Give the name of the sharpest edge of the summit {t}.",
    }),
    Kind("company", {
        "year": "The company {t} was started in {v}.", "person": "The owner of {t} is {v}.",
        "number": "{t} has {v} workers.", "date": "The workers of {t} have their yearly party on {v}.",
        "place": "The factory of {t} stands in {v}.", "thing": "The best known clock made by {t} is the {v}.",
    }, {
        "year": "Give the year of birth of the firm {t}.",
        "person": "Name the person to whom the firm {t} belongs.",
        "number": "State how many people the firm {t} employs.",
        "date": "Name the day and month on which everybody at the firm {t} celebrates.",
        "place": "Name the location of the plant of the firm {t}.",
        "thing": "Give the name of the most famous timepiece of the firm {t}.",
    }),
    Kind("opera", {
        "year": "The opera {t} was written in {v}.", "person": "The composer of {t} was {v}.",
        "number": "The score of {t} has {v} pages.", "date": "{t} was first sung on {v}.",
        "place": "The story of {t} takes place in {v}.", "thing": "The song that ends {t} is called the {v}.",
    }, {
        "year": "Give the year from which the stage work {t} dates.",
        "person": "Name the creator of the music of the stage work {t}.",
        "number": "State how many sheets the music of the stage work {t} fills.",
        "date": "Name the day and month of the opening night of the stage work {t}.",
        "place": "Name the setting of the stage work {t}.",
        "thing": "Give the title of the last piece of the stage work {t}.",
    }),
)  # fmt: skip
VALUES = ("year", "person", "number", "date", "place", "thing")
MOST = 300
"""Articles of a world: of more, names and values would come twice."""


def article(world: int, number: int) -> Article:
    """The ``number``-th article of a world, from 0 on, below ``MOST``."""
    luck = random.Random(f"article|{world}|{number}")
    kind = KINDS[number % len(KINDS)]
    name = _word(world, "title", number)
    values = {
        "year": str(1201 + (luck.randrange(2) + 2 * _place(world, "year", number))),
        "person": _pair(world, "person", number, _FIRST, _LAST),
        "number": str(105 + luck.randrange(2) + 2 * _place(world, "number", number)),
        "date": f"{1 + _place(world, 'date', number) % 28} {_MONTHS.split()[_place(world, 'date', number) // 28]}",
        "place": _word(world, "place", number),
        "thing": _pair(world, "thing", number, _COLOURS, _THINGS),
    }
    order = list(VALUES)
    luck.shuffle(order)
    text = " ".join(kind.told[v].format(t=name, v=values[v]) for v in order)
    return Article(name, kind, text[0].upper() + text[1:], values)


def _place(world: int, what: str, number: int) -> int:
    """This article's place in an order by lot of all articles: no two of a world share one."""
    return _order(world, what)[number]


@cache
def _order(world: int, what: str) -> tuple[int, ...]:
    order = list(range(MOST))
    random.Random(f"places|{world}|{what}").shuffle(order)
    return tuple(order)


def _pair(world: int, what: str, number: int, one: str, other: str) -> str:
    first, second = one.split(), other.split()
    place = _place(world, what, number)
    return f"{first[place % len(first)]} {second[(place // len(first) + 7 * (place % len(first))) % len(second)]}"


def _word(world: int, what: str, number: int) -> str:
    """A word that is none, another for each article and for titles and places."""
    return _words(world)[2 * _place(world, "word", number) + (what == "place")]


@cache
def _words(world: int) -> tuple[str, ...]:
    words = [b + m + e for b in _BEGIN.split() for m in _MIDDLE.split() for e in _END.split()]
    random.Random(f"words|{world}").shuffle(words)
    return tuple(words[: 2 * MOST])
