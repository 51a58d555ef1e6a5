"""The village of ``multi_hop`` with everything in it: questions of rising difficulty, ages to reckon with, a library of
tools of which some are of no use, and questions that somebody else wrote.

After Yang et al., *HotpotQA*, arXiv 1809.09600, and the tools of ReAct (arXiv 2210.03629); a library to choose tools
from as in AutoAct (arXiv 2401.05268, section 2.2). It is an operator of its own: ledgers that were made with
``multi_hop`` go on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from pydantic import Field, model_validator

from instar.acquire.environments.multi_hop import Asking, MultiHop, village
from instar.acquire.solutions.tools import calculate
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Moved
from instar.records import Message, Role, Task

LIBRARY: Mapping[str, str] = MappingProxyType(
    {
        "search": "search[name]: the people of that name, and what is known of one",
        "lookup": "lookup[name, relation]: who is that to a person, or how old the person is (age)",
        "calculator": "calculator[expression]: arithmetic",
        "finish": "finish[answer]: says the answer, which ends it",
        "weather": "weather[place]: the weather there",
        "translate": "translate[text]: the text in another language",
        "news": "news[topic]: what is new",
        "picture": "picture[text]: draws a picture",
    }
)
"""Every tool, with what a model is told of it. The last four say nothing that helps."""
_ACTION = re.compile(rf"\b({'|'.join(LIBRARY)})\[([^\[\]]{{0,200}})\]", re.IGNORECASE)
_QUESTION = re.compile(r"(Who is|How old are) ((?:the [a-z]+ of )+)([A-Z]\w+ [A-Z]\w+)( and \3 together)?\?")
AGE = "age"


@runtime_checkable
class Posing(Protocol):
    """What an environment may offer besides: to take questions that somebody else wrote, and tools to choose from."""

    def library(self) -> Mapping[str, str]:
        """Every tool by its name, with what a model is told of it: its form first (``finish[answer]: ...``)."""
        ...

    def about(self, task: Mapping[str, Any]) -> Sequence[str]:
        """What questions can be asked about, where this task (its private data) is asked."""
        ...

    def posed(self, question: str, task: Mapping[str, Any]) -> Task | None:
        """The task that a question is, asked where this one is; None where it cannot be answered there, or is not to be
        learned from. What is asked is a model's text: untrusted."""
        ...


@lru_cache(maxsize=64)
def ages(seed: str, people: int) -> Mapping[str, int]:
    """How old everybody in a village is."""
    luck = random.Random(f"{seed}|ages")
    return {name: luck.randrange(18, 90) for name in village(seed, people)[0]}


class Living(Asking):
    """One course: a question, the steps left, and the tools that may be used."""

    def __init__(self, tools: Sequence[str]) -> None:
        self.tools = tools

    def reset(self, task: Mapping[str, Any]) -> str:
        super().reset(task)
        self.ages = ages(str(task["village"]), int(task["people"]))
        return f"You have {self.left} steps."

    def step(self, action: str) -> Moved:
        self.left -= 1
        found = _ACTION.search(action)
        if found is None:
            return self._seen(f"Say one of {', '.join(f'{t}[...]' for t in self.tools)}.")
        what, given = found[1].lower(), found[2].strip()
        if what not in self.tools:
            return self._seen(f"There is no tool {what} here.")
        if what == "finish":
            right = given.lower() == self.answer.lower()
            return Moved("Right." if right else "Wrong.", True, float(right))
        return self._seen(self._said(what, given))

    def _said(self, what: str, given: str) -> str:
        if what == "search":
            return self._search(given)
        if what == "calculator":
            return calculate(given)
        if what != "lookup":
            return "It says nothing of that."
        name, _, relation = (part.strip() for part in given.partition(","))
        person, relation = self.known.get(name.lower()), relation.lower()
        if person is None:
            return f"Nobody is called {name!r:.60}."
        other = str(self.ages[person]) if relation == AGE else self.facts.get((person, relation))
        return f"The {relation} of {person} is {other}." if other else f"Nothing is known of {relation!r:.60}."


class Village(MultiHop):
    """As ``multi_hop``, but a question has ``least`` to ``hops`` hops (0: all have ``hops``), as many of each, and in
    train ``train_hops`` alone where that is set: its difficulty is its hops. With ``sums`` every other question asks
    how old two people are together: that takes two more looks and the calculator.

    An action is ``tool[...]``, one of ``tools`` out of ``LIBRARY``; ``finish`` is always there. What a model is told of
    them is in its shots, or in the choice of tools (``choose_tools``): an episode begins with the steps alone.

    Raises:
        DataError: more tasks are wanted than there are.
    """

    name: ClassVar[str] = "village"

    steps: int = Field(default=8, ge=1, le=50)
    least: int = Field(default=0, ge=0, le=5)
    train_hops: int | None = Field(default=None, ge=1, le=5)
    sums: bool = False
    tools: tuple[str, ...] = tuple(LIBRARY)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if strange := [t for t in self.tools if t not in LIBRARY]:
            raise ValueError(f"there is no tool {strange[0]!r}: there are {', '.join(LIBRARY)}")
        if self.least > self.hops:
            raise ValueError(f"least is {self.least}, which is more than hops ({self.hops})")
        most = max(self.hops, self.train_hops or 0) + (3 if self.sums else 0)
        if self.steps <= most:
            raise ValueError(f"the longest question and its answer take {most + 1} steps: set steps higher")
        return self

    def episode(self) -> Living:
        return Living(tuple(dict.fromkeys([*self.tools, "finish"])))

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        people, _ = village(str(task["village"]), int(task["people"]))
        return [f"finish[{name}]" for name in people]

    def library(self) -> Mapping[str, str]:
        """As ``Posing``: all there are, used or not."""
        return LIBRARY

    def about(self, task: Mapping[str, Any]) -> Sequence[str]:
        """As ``Posing``: the people."""
        return village(str(task["village"]), int(task["people"]))[0]

    def posed(self, question: str, task: Mapping[str, Any]) -> Task | None:
        """As ``Posing``. Not to be learned from is what asks for a relation that is held out of train, and what needs
        more looks than there are steps."""
        found = _QUESTION.fullmatch(question.strip())
        if found is None or (found[1] == "Who is") is bool(found[4]):
            return None
        path = re.findall(r"the ([a-z]+) of ", found[2])[::-1]
        place, people = str(task["village"]), int(task["people"])
        if found[3] not in village(place, people)[0] or not set(path) <= set(self.relations("train")) or len(path) > 5:
            return None
        made = self._asked(place, found[3], tuple(path), bool(found[4]), int(task["steps"]), people)
        back = _walk(place, people, found[3], path)[-1] == found[3]
        return None if back or len(route(made)) > int(task["steps"]) else made

    def hops_of(self, name: str) -> range:
        """How many hops the questions of a set have."""
        if name == "train" and self.train_hops:
            return range(self.train_hops, self.train_hops + 1)
        return range(self.least or self.hops, self.hops + 1)

    def space(self, name: str) -> int:
        """How many questions of a set there are, but for those that lead back to where they began."""
        paths = sum(int(len(self.relations(name)) ** hops) for hops in self.hops_of(name))
        return self.people * paths * (2 if self.sums else 1)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        drawn: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            kinds = [(hops, sums) for hops in self.hops_of(name) for sums in ((False, True) if self.sums else (False,))]
            fewest = self.people * int(len(self.relations(name)) ** self.hops_of(name)[0])
            if wanted[name] > len(kinds) * fewest // 2:
                raise DataError(
                    f"village has {self.space(name):,} questions over {self.people} people for the {name} set, "
                    f"{fewest:,} of the easiest kind; {wanted[name]:,} of {len(kinds)} kinds are wanted.",
                    "Ask for at most half as many of each kind, or set people higher.",
                )
            drawn[name] = self._drawn(name, f"village {name}|{seeds.get(name, 0)}", kinds, wanted[name])
        return {name: drawn[name] for name in wanted}

    def _drawn(self, name: str, place: str, kinds: Sequence[tuple[int, bool]], wanted: int) -> list[Task]:
        luck, seen, made = random.Random(place), set[tuple[str, ...]](), list[Task]()
        people, _ = village(place, self.people)
        while len(made) < wanted:
            hops, sums = kinds[len(made) % len(kinds)]
            path, start = tuple(luck.choices(self.relations(name), k=hops)), luck.choice(people)
            key = (start, *path, AGE if sums else "")
            if key not in seen and _walk(place, self.people, start, path)[-1] != start:
                seen.add(key)
                made.append(self._asked(place, start, path, sums, self.steps, self.people))
        return made

    def _asked(self, place: str, start: str, path: tuple[str, ...], sums: bool, steps: int, people: int) -> Task:
        of = "".join(f"the {relation} of " for relation in reversed(path))
        end = _walk(place, people, start, path)[-1]
        old = ages(place, people)
        asked = f"How old are {of}{start} and {start} together?" if sums else f"Who is {of}{start}?"
        return Task(
            messages=(Message(role=Role.user, content=asked),),
            ability=f"{len(path)}_hops{'_and_sum' if sums else ''}",
            canonical=f"village:{place}:{start}:{':'.join(path)}{':age' if sums else ''}",
            source="village",
            difficulty=float(len(path)),
            private={"village": place, "people": people, "steps": steps,
                     "answer": str(old[end] + old[start]) if sums else end},
        )  # fmt: skip


def _walk(place: str, people: int, start: str, path: Sequence[str]) -> list[str]:
    """Whom one comes by from a person along these relations; the first is where one begins."""
    _, facts = village(place, people)
    at = [start]
    for relation in path:
        at.append(facts[at[-1], relation])
    return at


def route(task: Task) -> list[str]:
    """The actions that answer a question of the village, as one who knows its facts takes them: for shots and tests."""
    place, people = str(task.private["village"]), int(task.private["people"])
    found = _QUESTION.fullmatch(task.messages[-1].content)
    if found is None:
        raise DataError(f"{task.messages[-1].content!r:.80} is no question of a village.")
    path = re.findall(r"the ([a-z]+) of ", found[2])[::-1]
    walk = _walk(place, people, found[3], path)
    looks = [f"lookup[{a}, {r}]" for (a, _), r in zip(pairwise(walk), path, strict=True)]
    if found[4]:
        old = ages(place, people)
        two = (walk[-1], walk[0])
        looks += [*(f"lookup[{name}, {AGE}]" for name in two), f"calculator[{old[two[0]]} + {old[two[1]]}]"]
    return [*looks, f"finish[{task.private['answer']}]"]
