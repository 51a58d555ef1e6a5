"""Keep one of each text within a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Filter
from instar.records import Decision, Experience
from instar.similarity import normalised


class Distinct(Filter):
    """Keeps the first solution of each text; case, whitespace and Unicode form do not make two texts different."""

    name: ClassVar[str] = "distinct"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        first: dict[tuple[str, str], str] = {}
        decisions: list[Decision] = []
        for item in items:
            text = normalised(item.solution.text)
            key = (item.task.id or item.task.digest, text)
            if key in first:
                decisions.append(Decision(item=item.id, kept=False, reason=f"same text as {first[key]}"))
            else:
                first[key] = item.id
                decisions.append(Decision(item=item.id, kept=True, reason="first with this text"))
        return decisions
