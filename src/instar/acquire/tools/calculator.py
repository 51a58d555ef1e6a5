"""The calculator as a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from instar.acquire.solutions.tools import calculate
from instar.protocols import Bench, Tool


class Expression(BaseModel):
    """What it is given."""

    expression: str


class Calculator(Tool):
    """Exact arithmetic; nothing is evaluated as code."""

    name: ClassVar[str] = "calculator"
    about: ClassVar[str] = "arithmetic with + - * / // % ** and brackets"
    takes: ClassVar[type[BaseModel]] = Expression

    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str:
        return calculate(given["expression"])
