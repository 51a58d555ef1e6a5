"""Single-player games of TextArena: guess a number, cross a frozen lake, move a tower, break a code.

Library: TextArena 0.7 (Guertler et al., *TextArena*, arXiv 2504.11442; MIT), https://github.com/LeonGuertler/TextArena.
Departures: of what is seen only what is new is said in a turn, for the rest stands in the turns before; two seeds with
the same game are one task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.program import Rewarded, Seeded
from instar.records import Message, Role, Task


class TextArena(Seeded, Rewarded):
    """The game ``id`` (``GuessTheNumber-v0``), made with ``make``, of the interpreter ``python``, which has textarena
    (120 MB). A task is a seed of it; what a reply does is the game's own affair, which mostly reads ``[...]``.

    Its reward is on the scale from ``lowest`` to ``highest``; one below, for moves that are not allowed, is the lowest.
    Games that fetch word lists when they begin (Wordle, Hangman) need ``network = true``, or the lists in ``reads``.

    Raises:
        ConfigError: no such interpreter, library or game; one of several players.
        DataError: fewer games that differ than are wanted.
    """

    name: ClassVar[str] = "textarena"
    world: ClassVar[str] = "textarena_world.py"
    library: ClassVar[str] = "textarena"
    hint: ClassVar[str] = ", or for a larger game"

    id: str = Field(min_length=1, max_length=200)
    make: Mapping[str, Any] = {}
    """What ``textarena.make`` is given beside the id."""

    def what(self) -> str:
        return self.id

    def settings(self) -> dict[str, Any]:
        """What ``textarena_world.py`` is made of."""
        return {"id": self.id, "make": dict(self.make), "lowest": self.lowest, "highest": self.highest}

    def same(self) -> Any:
        return [self.id, dict(self.make)]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        return self.drawn(wanted, seeds)

    def task(self, key: str, of: Mapping[str, Any]) -> Task:
        """A task: what the game says first, with its rules. TextArena names no actions: no floor is known."""
        said = Message(role=Role.user, content=str(of["says"]))
        private = {"seed": int(of["seed"])}
        return Task(messages=(said,), ability=self.id, canonical=key, source=self.name, private=private)
