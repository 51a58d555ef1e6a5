"""A user's own function wherever a tool's name does: ``my_tools.py:lookup``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, field_validator

from instar.acquire.feedback.pool import TRIES, Done, shared
from instar.acquire.tools.own import called, described, parts
from instar.neighbours import with_neighbours
from instar.protocols import Bench, Tool
from instar.records import ToolSpec


class OwnTool(Tool):
    """A function of the user's own file. Its name, the first paragraph of its docstring and its type hints are what a
    model is told. It runs in a process that can be killed, for ``seconds`` of whoever holds the tool; set ``effects``
    where a call changes something outside.

    Raises:
        ConfigError: there is no such function, or its arguments have no schema.
    """

    name: ClassVar[str] = "own_tool"
    where: ClassVar[Literal["here", "process", "sandbox"]] = "process"

    function: str

    @field_validator("function")
    @classmethod
    def _there(cls, value: str) -> str:
        described(*parts(value))
        return value

    @property
    def spec(self) -> ToolSpec:
        return described(*parts(self.function))[1]

    def arguments(self) -> type[BaseModel]:
        return described(*parts(self.function))[0]

    def own_source(self) -> str:
        """This class, the file of the function and what that imports from beside it: what it calls decides as much as
        it does."""
        return inspect.getsource(type(self)) + with_neighbours(Path(parts(self.function)[0]).resolve())

    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str:
        path, function, _ = parts(self.function)
        tries = 1 if self.effects else TRIES
        result = await shared().run(called, path, function, dict(given), seconds=bench.seconds, tries=tries)
        return str(result.value) if isinstance(result, Done) else f"error: {result.reason}"
