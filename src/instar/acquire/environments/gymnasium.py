"""An environment of Gymnasium, in words: what is seen is its text, and an action is a name in a reply.

Library: gymnasium 1.x (Farama Foundation, MIT), https://gymnasium.farama.org. Departures: only discrete actions; what
a reply that names none does is told instead, and costs a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar.acquire.environments.program import Rewarded, Seeded
from instar.records import Message, Role, Task


class Gymnasium(Seeded, Rewarded):
    """The environment ``id`` with ``settings``, of the interpreter ``python``. A task is a seed of it.

    ``asks`` is the question, before the first observation. ``actions`` are the names of its actions in their order
    (FrozenLake's: left, down, right, up); without names they are numbers. The last of them in a reply is the action.
    An observation is what the environment renders as text (``shows = "render"``), or its observation
    (``"observation"``).

    Two tasks that begin alike are one (``distinct = "start"``), so that no exam holds what was trained on. Where all
    begin alike and their luck differs, as on FrozenLake's slippery ice, say ``distinct = "seed"``.

    Raises:
        ConfigError: no such interpreter, library, or environment; actions that are not discrete, or not as many.
        DataError: there are fewer tasks than wanted.
    """

    name: ClassVar[str] = "gymnasium"
    world: ClassVar[str] = "gymnasium_world.py"
    library: ClassVar[str] = "gymnasium"
    hint: ClassVar[str] = ', or say distinct = "seed" where episodes that begin alike differ by their luck'

    id: str = Field(min_length=1, max_length=200)
    asks: str = Field(min_length=1, max_length=2_000)
    make: Mapping[str, Any] = {}
    """What ``gymnasium.make`` is given beside the id."""
    actions: tuple[str, ...] = ()
    shows: Literal["render", "observation"] = "render"
    distinct: Literal["start", "seed"] = "start"
    imports: tuple[str, ...] = ()
    """Modules, and files ``.py``, that register the environment."""

    def what(self) -> str:
        return self.id

    def files(self) -> Sequence[str]:
        return tuple(name for name in self.imports if name.endswith(".py"))

    def settings(self) -> dict[str, Any]:
        """What ``gymnasium_world.py`` is made of."""
        imports = [str(Path(name).resolve()) if name in self.files() else name for name in self.imports]
        return {
            "id": self.id, "make": dict(self.make), "actions": list(self.actions), "shows": self.shows,
            "distinct": self.distinct, "lowest": self.lowest, "highest": self.highest, "imports": imports,
        }  # fmt: skip

    def same(self) -> Any:
        return [self.id, dict(self.make), [Path(f).read_text(encoding="utf-8", errors="replace") for f in self.files()]]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        return self.drawn(wanted, seeds)

    def task(self, key: str, of: Mapping[str, Any]) -> Task:
        """A task: the question with what is seen first, and the seed of its world."""
        asked = Message(role=Role.user, content=f"{self.asks}\n\n{of['says']}")
        private = {"seed": int(of["seed"]), "choices": [str(c) for c in of["choices"]]}
        return Task(messages=(asked,), ability=self.id, canonical=key, source=self.name, private=private)
