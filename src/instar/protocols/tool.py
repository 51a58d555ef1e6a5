"""The slot of tools, and where their calls run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel

from instar.protocols.op import Op
from instar.records import ToolSpec


class Bench(NamedTuple):
    """What a call of a tool may take: seconds, and the sandbox that what it runs is put into."""

    seconds: float = 5.0
    sandbox: Literal["auto", "bubblewrap", "namespaces", "docker"] = "auto"
    allow_weaker: bool = False


class Tool(Op):
    """What a model may call while it works. Its settings are its own; what a call is given is checked against
    ``arguments`` before it is called.

    What it says is a text, untrusted and bounded. Where it fails it says so in words or raises; neither ends a run.
    """

    slot: ClassVar[str] = "tool"
    about: ClassVar[str] = ""
    """What a model is told of it, in a line."""
    takes: ClassVar[type[BaseModel]] = BaseModel
    """The arguments of a call, typed."""
    where: ClassVar[Literal["here", "process", "sandbox"]] = "here"
    """Where it runs: in the run's own process, in one that can be killed, behind the sandbox's walls."""
    effects: bool = False
    """Whether a call changes something outside. Such a call is noted before it is made, and never made twice by
    itself: where it was begun and is not known to have ended, the task's call fails."""

    @property
    def spec(self) -> ToolSpec:
        """How a model is told of it."""
        return ToolSpec.of(self.name, self.about, self.arguments())

    @property
    def called(self) -> str:
        """The name that a model calls it by; known before anything is started."""
        return self.spec.name

    def arguments(self) -> type[BaseModel]:
        """What a call is given."""
        return self.takes

    def refuse(self, bench: Bench) -> None:
        """Raises SandboxError where it cannot run on such a bench. Called before a token is spent, as ``prepare``."""

    @abstractmethod
    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str: ...
