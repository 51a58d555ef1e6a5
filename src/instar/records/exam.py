"""How a suite is solved and judged: what makes two reports comparable."""

from __future__ import annotations

import re
from typing import ClassVar, Literal, cast

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
