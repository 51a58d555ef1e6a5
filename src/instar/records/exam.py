"""How a suite is solved and judged: what makes two reports comparable."""

from __future__ import annotations

from typing import ClassVar

from instar.records.record import Record


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
