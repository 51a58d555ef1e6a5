"""The slot of environments, their episodes and moves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from instar.protocols.slots import Source


class Moved(NamedTuple):
    """What comes of an action: what is seen then, whether it is over, and the score so far (None: not known yet)."""

    observation: str
    done: bool = False
    score: float | None = None


class Episode(Protocol):
    """One course of an environment, in a process that can be killed. It may keep a state, and draws no luck of its
    own: the same actions are answered alike, or the episode ends with that as the reason."""

    def reset(self, task: Mapping[str, Any]) -> str:
        """What is seen first. ``task`` is the private data of a task."""
        ...

    def step(self, action: str) -> Moved:
        """What comes of an action, which is a model's text: untrusted."""
        ...


class Environment(Source):
    """A world to act in over turns, and the source of its tasks. Its class is imported where an episode is played."""

    slot: ClassVar[str] = "environment"

    @abstractmethod
    def episode(self) -> Episode: ...

    async def elsewhere(
        self, private: Mapping[str, Any], actions: Sequence[str], seconds: float
    ) -> Sequence[Moved] | None:
        """The moves of an episode of an environment that is a program of its own; None: it is played by ``episode``,
        in a process of instar's."""
        return None

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        """Actions that one who knows nothing may choose from: the floor of every score. None: no floor is known."""
        return ()
