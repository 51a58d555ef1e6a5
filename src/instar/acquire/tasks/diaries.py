"""Simulated people who tell of their days, and are asked later: what a memory is measured on.

After MemoryBank's own measurement (Zhong et al., arXiv 2305.10250, section 4.2: 15 simulated users, 10 days, 194
probing questions), written by rule instead of by a model: facts, facts that change, the same fact of somebody else,
people of one name, and small talk. An answer is a value; a note that is merely repeated is none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from instar.acquire.tasks.diary_world import ENGLISH, FACTS, NAMES, World
from instar.acquire.tasks.diary_world_zh import CHINESE
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Source
from instar.records import Message, Role, Task


class Entry(NamedTuple):
    """What a person said on a day; ``fact`` where it is one of theirs that still holds at the end."""

    who: str
    day: int
    text: str
    key: str
    value: str
    holds: bool


class Diaries(Source):
    """``users`` people over ``days`` days. **train** is what they say, day after day: each tells every fact once, on a
    day by lot; ``changing`` of them change later; as many facts are told of somebody else; ``talk`` sentences a day are
    about nothing. Users come in pairs of one name. **dev, gate, sealed** ask for facts on the day after the last, each
    fact of each person in one set only; only what still holds is right.

    ``world`` draws the people: runs of one world have the same. ``language`` is what they speak; the Chinese ("zh")
    tell the same kinds of facts, with values of their own.

    Raises:
        DataError: more is wanted than there is, with the number there is.
    """

    name: ClassVar[str] = "diaries"
    late: ClassVar[frozenset[str]] = frozenset({"language"})

    users: int = Field(default=15, ge=1, le=1_000)
    days: int = Field(default=10, ge=1, le=1_000)
    changing: int = Field(default=5, ge=0, le=len(FACTS))
    talk: int = Field(default=1, ge=0, le=len(ENGLISH.talk))
    world: int = Field(default=1, ge=0)
    language: Literal["en", "zh"] = "en"

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        check_wanted(wanted)
        entries = self.entries()
        facts = [e for e in entries if e.holds]
        asked = sum(n for name, n in wanted.items() if name != "train")
        if wanted.get("train", 0) > len(entries) or asked > len(facts):
            raise DataError(
                f"diaries of {self.users} people have {len(entries):,} entries and {len(facts):,} facts to ask for; "
                f"{wanted.get('train', 0):,} and {asked:,} are wanted.",
                f"Set sizes.train to at most {len(entries)}, or users higher.",
            )
        random.Random(f"probes|{seeds.get('sealed', 0)}").shuffle(facts)
        drawn: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            if name == "train":
                # the last that were said stand for all: what is left out is left out of the beginning
                drawn[name] = [self._told(e) for e in entries[len(entries) - wanted[name] :]]
            else:
                drawn[name] = [self._probe(facts.pop()) for _ in range(wanted[name])]
        return {name: drawn[name] for name in wanted}

    def entries(self) -> list[Entry]:
        """All that is said, in order of days."""
        found: list[Entry] = []
        for user in range(self.users):
            name = NAMES[(user // 2) % len(NAMES)]
            found += self._diary(f"{name} {user + 1}", random.Random(f"diary|{self.world}|{user}"))
        return sorted(found, key=lambda e: e.day)

    def _diary(self, who: str, luck: random.Random) -> list[Entry]:
        made: list[Entry] = []
        world = self._spoken()
        changing = set(luck.sample(range(len(world.facts)), self.changing)) if self.days > 1 else set()
        for place, fact in enumerate(world.facts):
            first, second, other = luck.sample(fact.values, 3)
            day = luck.randrange(self.days - 1 if place in changing else self.days)
            made.append(Entry(who, day, fact.told.format(first), fact.key, first, place not in changing))
            if place in changing:
                later = luck.randrange(day + 1, self.days)
                text = world.now.format(fact.told.format(second).removesuffix(world.stop)) + world.stop
                made.append(Entry(who, later, text, fact.key, second, True))
            if fact.other is not None:
                made.append(Entry(who, luck.randrange(self.days), fact.other.format(other), "", other, False))
        for day in range(self.days):
            made += [Entry(who, day, text, "", "", False) for text in luck.sample(world.talk, self.talk)]
        luck.shuffle(made)
        return made

    def _spoken(self) -> World:
        return CHINESE if self.language == "zh" else ENGLISH

    def _told(self, e: Entry) -> Task:
        return _task(e.who, e.day, e.text, "diary", f"diary:{self.world}:{e.who}:{e.day}:{e.text}", {})

    def _probe(self, e: Entry) -> Task:
        fact = next(f for f in self._spoken().facts if f.key == e.key)
        age = self.days - e.day
        private = {"answer": e.value, "told": e.text, "day": e.day}
        return _task(
            e.who, self.days, fact.asked, f"recall/{_aged(age)}", f"probe:{self.world}:{e.who}:{e.key}", private
        )


def _task(who: str, day: int, text: str, ability: str, canonical: str, private: Mapping[str, object]) -> Task:
    return Task(
        messages=(Message(role=Role.user, content=text),), ability=ability, canonical=canonical, source="diaries",
        private=private, when=float(day), who=who,
    )  # fmt: skip


def _aged(days: int) -> str:
    return "1_to_3_days" if days <= 3 else "4_to_7_days" if days <= 7 else "over_7_days"
