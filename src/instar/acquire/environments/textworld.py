"""Text games that TextWorld makes: a room, some things, and a quest; what is seen is text, an action is a command.

Library: TextWorld 1.7 (Cote et al., *TextWorld: A Learning Environment for Text-based Games*, arXiv 1806.11532; MIT),
https://github.com/microsoft/TextWorld. Departures: the commands that are possible are told, unless ``tells`` is false.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.program import Program
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.records import Message, Role, Task

_AT_ONCE = 10
"""Seeds of one question to the program: making a game takes about a second."""
_IN_VAIN = 5
"""As many games as this for each that is wanted are made before there are said to be too few."""


class TextWorld(Program):
    """A game of ``rooms`` rooms and ``objects`` things whose quest takes ``quest`` commands, made from a seed: a task.
    The first line of a reply is the command. ``python`` names the interpreter that has textworld (380 MB).

    The score is the game's own, as a share of what can be had. Games that are the same, whatever their seeds, are one.

    Raises:
        ConfigError: no such interpreter or library.
        DataError: no more games that differ, of this size.
    """

    name: ClassVar[str] = "textworld"
    world: ClassVar[str] = "textworld_world.py"
    library: ClassVar[str] = "textworld"
    disk: ClassVar[int] = 512 * 2**20  # a game is two files of 400 kB

    asks: str = Field(
        default="You are in a text game. Do what it asks for. Reply with one command.", min_length=1, max_length=2_000
    )
    rooms: int = Field(default=1, ge=1, le=30)
    objects: int = Field(default=3, ge=1, le=100)
    quest: int = Field(default=1, ge=1, le=20)
    tells: bool = True

    def what(self) -> str:
        return f"{self.rooms} rooms, {self.objects} objects, quests of {self.quest}"

    def settings(self) -> dict[str, Any]:
        """What ``textworld_world.py`` is made of."""
        return {"rooms": self.rooms, "objects": self.objects, "quest": self.quest, "tells": self.tells}

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        return tuple(task["choices"])

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        check_wanted(wanted)
        total = sum(wanted.values())
        luck = random.Random(f"textworld|{sorted(seeds.items())}")
        tasks: dict[str, Task] = {}
        tried: set[int] = set()
        while len(tasks) < total:
            if len(tried) > _IN_VAIN * total:
                raise DataError(
                    f"textworld made {len(tasks):,} games of {self.what()} that differ, of {len(tried):,} seeds; "
                    f"{total:,} are wanted.",
                    "Ask for fewer, or for larger games.",
                )
            some = [s for s in luck.sample(range(2**31), _AT_ONCE) if s not in tried][: total - len(tasks)]
            tried.update(some)
            for of in self.pages("tasks", {"seeds": some}):
                task = self._task(of)
                tasks.setdefault(task.canonical, task)
        rest = iter(tasks.values())
        return {name: [next(rest) for _ in range(wanted[name])] for name in wanted}

    def _task(self, of: Mapping[str, Any]) -> Task:
        return Task(
            messages=(Message(role=Role.user, content=self.asks),),
            ability=f"quest_{self.quest}",
            canonical=f"textworld:{self.rooms}:{self.objects}:{self.quest}:{of['key']}",
            source=self.name,
            private={"seed": int(of["seed"]), "choices": [str(c) for c in of["choices"]]},
        )
