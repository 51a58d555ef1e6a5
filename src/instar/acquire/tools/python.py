"""Python as a tool: a program inside the sandbox's walls, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from instar.acquire.solutions.tools import use
from instar.protocols import Bench, Tool


class Code(BaseModel):
    """What it is given."""

    code: str


class Python(Tool):
    """Runs Python code in the sandbox and gives what it prints."""

    name: ClassVar[str] = "python"
    about: ClassVar[str] = "runs Python code and gives what it prints"
    takes: ClassVar[type[BaseModel]] = Code
    where: ClassVar[Literal["here", "process", "sandbox"]] = "sandbox"

    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str:
        return await use(
            "python", given["code"], seconds=bench.seconds, kind=bench.sandbox, allow_weaker=bench.allow_weaker
        )
