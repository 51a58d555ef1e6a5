"""Questions over several facts of a made-up village: who is the teacher of the mother of Ana? Nothing is downloaded.

After the two-hop questions of Yang et al., *HotpotQA*, arXiv 1809.09600, in the form in which agents are asked them
(ReAct, arXiv 2210.03629: search, lookup, finish). Each set has a village of its own, so that no fact can be learned by
heart, and ``held_out`` relations are asked for in dev, gate and sealed alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Environment, Moved
from instar.records import Message, Role, Task

RELATIONS = (
    "mother", "teacher", "neighbour", "doctor", "boss", "cousin", "baker", "landlord",
    "uncle", "lawyer", "partner", "tailor", "rival", "barber", "guest", "tenant",
)  # fmt: skip
"""Each leads from a person to one other. The last are the first to be held out."""
_SYLLABLES = ("ba", "de", "fi", "go", "hu", "ja", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "ze")
_ENDS = ("n", "r", "s", "l", "k", "m")
_ACTION = re.compile(r"\b(search|lookup|finish)\[([^\[\]]{0,200})\]", re.IGNORECASE)
_ASKS = "Say search[name], lookup[name, relation] or finish[name]."


@lru_cache(maxsize=64)
def village(seed: str, people: int) -> tuple[tuple[str, ...], Mapping[tuple[str, str], str]]:
    """The people of a village, and who is what to whom: by name and relation."""
    luck = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < people:
        first, last = ("".join(luck.choices(_SYLLABLES, k=2)) + luck.choice(_ENDS) for _ in range(2))
        names[f"{first.title()} {last.title()}"] = None
    all_ = tuple(names)
    facts: dict[tuple[str, str], str] = {}
    for relation in RELATIONS:
        for name in all_:
            other = luck.choice(all_)
            while other == name:
                other = luck.choice(all_)
            facts[name, relation] = other
    return all_, facts


class Asking:
    """One course: a question, and the steps left."""

    def reset(self, task: Mapping[str, Any]) -> str:
        self.people, self.facts = village(str(task["village"]), int(task["people"]))
        self.answer, self.left = str(task["answer"]), int(task["steps"])
        self.known = {name.lower(): name for name in self.people}
        return f"{_ASKS} You have {self.left} steps."

    def step(self, action: str) -> Moved:
        self.left -= 1
        found = _ACTION.search(action)
        if found is None:
            return self._seen(_ASKS)
        what, given = found[1].lower(), found[2].strip()
        if what == "finish":
            right = self.known.get(given.lower()) == self.answer
            return Moved("Right." if right else "Wrong.", True, float(right))
        name, _, relation = (part.strip() for part in given.partition(","))
        if what == "search":
            return self._seen(self._search(given))
        person = self.known.get(name.lower())
        if person is None:
            return self._seen(f"Nobody is called {name!r:.60}.")
        other = self.facts.get((person, relation.lower()))
        if other is None:
            return self._seen(f"Nothing is known of {relation!r:.60} of {person}.")
        return self._seen(f"The {relation.lower()} of {person} is {other}.")

    def _search(self, given: str) -> str:
        found = [name for low, name in self.known.items() if given and given.lower() in low]
        if not found:
            return f"Nobody is called {given!r:.60}."
        if len(found) > 1:
            return f"{len(found)} people: {', '.join(found[:5])}."
        return f"{found[0]}: {', '.join(RELATIONS)}."

    def _seen(self, text: str) -> Moved:
        return Moved(text, True, 0.0) if self.left <= 0 else Moved(text)


class MultiHop(Environment):
    """Find who is asked for, ``hops`` facts away, in ``steps`` steps, by ``search[name]``, ``lookup[name, relation]``
    and ``finish[name]``; the first of them in a reply is the action. One task is a person and a path of relations.

    Train has a village of ``people`` and the relations that are not among the ``held_out``; every other set a village
    of its own and the held-out ones alone.

    Raises:
        DataError: more tasks are wanted than there are.
    """

    name: ClassVar[str] = "multi_hop"

    hops: int = Field(default=2, ge=1, le=5)
    people: int = Field(default=60, ge=5, le=1_000)
    held_out: int = Field(default=6, ge=1, le=len(RELATIONS) - 1)
    steps: int = Field(default=6, ge=1, le=50)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.steps <= self.hops:
            raise ValueError(f"{self.hops} hops and an answer take {self.hops + 1} steps: set steps higher")
        return self

    def episode(self) -> Asking:
        return Asking()

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        people, _ = village(str(task["village"]), int(task["people"]))
        return [f"finish[{name}]" for name in people]

    def relations(self, name: str) -> tuple[str, ...]:
        """Those that the questions of a set ask for."""
        return RELATIONS[: -self.held_out] if name == "train" else RELATIONS[-self.held_out :]

    def space(self, name: str) -> int:
        """How many questions of a set there are, but for those that lead back to where they began."""
        return self.people * int(len(self.relations(name)) ** self.hops)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        drawn: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            if wanted[name] > self.space(name) // 2:
                raise DataError(
                    f"multi_hop has {self.space(name):,} questions of {self.hops} hops over {self.people} people for "
                    f"the {name} set; {wanted[name]:,} are wanted.",
                    "Ask for at most half of them, or set people higher.",
                )
            place = f"{name}|{seeds.get(name, 0)}"
            luck, seen = random.Random(place), set[tuple[str, ...]]()
            people, facts = village(place, self.people)
            drawn[name] = []
            while len(drawn[name]) < wanted[name]:
                path = tuple(luck.choices(self.relations(name), k=self.hops))
                start = luck.choice(people)
                at = start
                for relation in path:
                    at = facts[at, relation]
                if (start, *path) not in seen and at != start:
                    seen.add((start, *path))
                    drawn[name].append(self._task(place, start, path, at))
        return {name: drawn[name] for name in wanted}

    def _task(self, place: str, start: str, path: Sequence[str], answer: str) -> Task:
        of = "".join(f"the {relation} of " for relation in reversed(path))
        return Task(
            messages=(Message(role=Role.user, content=f"Who is {of}{start}?"),),
            ability=f"{self.hops}_hops",
            canonical=f"multi_hop:{place}:{start}:{':'.join(path)}",
            source="multi_hop",
            private={"village": place, "people": self.people, "steps": self.steps, "answer": answer},
        )
