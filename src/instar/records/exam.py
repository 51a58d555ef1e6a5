"""How a suite is solved and judged: what makes two reports comparable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from instar.records.record import Record

_SUITE = re.compile(r"(guard|attack):[A-Za-z0-9_-]{1,60}")


def suite_kind(name: str) -> Literal["guard", "attack"] | None:
    """What a name says of a set of tasks: ``guard:NAME`` is not to get worse, ``attack:NAME`` holds attacks, of which
    fewer are to succeed; None for any other name."""
    found = _SUITE.fullmatch(name)
    return cast(Literal["guard", "attack"], found[1]) if found else None


class Exam(Record):
    """A suite and how it is solved and judged: two reports are comparable if and only if their exams are equal."""

    kind: ClassVar[str] = "exam"

    suite: str
    solve: str
    judge: str
    engine: str
    precision: str
    items: str
    n: int
    roles: Mapping[str, str] = Field(default_factory=dict)
    """Who plays the other roles, by id: they are the same for all that is compared."""

    @model_serializer(mode="wrap")
    def _without_none(self, fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without other roles there is no such entry, as in exams, and reports of them, from before roles existed."""
        said: dict[str, Any] = fields(self)
        if not self.roles:
            said.pop("roles", None)
        return said
