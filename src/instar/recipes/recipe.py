"""What a recipe is: a named async function over the run's verbs, its settings, and the paper it is from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from instar.records import Policy
from instar.run.run import Run


class Settings(BaseModel):
    """Base of all recipes' settings. Operators in it are values: their config is their identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=3, ge=1)


@dataclass(frozen=True)
class Recipe:
    """An entry of ``instar recipes``. ``function(run, settings)`` returns the policy it ends with."""

    name: str
    title: str
    paper: str
    config: type[Settings]
    function: Callable[[Run, Any], Awaitable[Policy]]
