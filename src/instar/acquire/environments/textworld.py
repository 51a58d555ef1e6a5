"""Text games that TextWorld makes: a room, some things, and a quest; what is seen is text, an action is a command.

Library: TextWorld 1.7 (Cote et al., *TextWorld: A Learning Environment for Text-based Games*, arXiv 1806.11532; MIT),
https://github.com/microsoft/TextWorld. Departures: the commands that are possible are told, unless ``tells`` is false.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.program import Seeded
from instar.records import Message, Role, Task


class TextWorld(Seeded):
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
    at_once: ClassVar[int] = 10  # making a game takes about a second
    hint: ClassVar[str] = ", or for larger games"
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

    def same(self) -> Any:
        return [self.rooms, self.objects, self.quest]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        return self.drawn(wanted, seeds)

    def task(self, key: str, of: Mapping[str, Any]) -> Task:
        """A task: the question with what is seen first, and the seed of its game."""
        asked = Message(role=Role.user, content=f"{self.asks}\n\n{of['says']}")
        private = {"seed": int(of["seed"]), "choices": [str(c) for c in of["choices"]]}
        return Task(messages=(asked,), ability=f"quest_{self.quest}", canonical=key, source=self.name, private=private)
