"""Keep one path for each way of calculating: what makes rejection sampling worth its samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Filter
from instar.records import Decision, Experience
from instar.refine.edit_distance import edit_distance
from instar.refine.equations import equations


class DistinctEquations(Filter):
    """Of a task's solutions with the same list of calculations, keeps the one most unlike the other paths kept.

    RFT (arXiv 2308.01825): the list is all calculations in order, without spaces; "3+4" and "4+3" are two ways. Among
    equal lists the one with the largest total edit distance to the paths already kept stays; the earlier one in a
    draw. Solutions that show no calculation have one list in common, the empty one, so one of them is kept.
    """

    name: ClassVar[str] = "distinct_equations"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        tasks: dict[str, dict[str, int]] = {}
        lists: list[str] = []
        for place, item in enumerate(items):
            ways = tasks.setdefault(item.task.id or item.task.digest, {})
            way = "|".join(str(e) for e in equations(item.solution.text))
            lists.append(way)
            if way not in ways:
                ways[way] = place
                continue
            others = [items[p].solution.text for w, p in ways.items() if w != way]
            if _unlike(item.solution.text, others) > _unlike(items[ways[way]].solution.text, others):
                ways[way] = place
        kept = {place for ways in tasks.values() for place in ways.values()}
        return [
            Decision(item=item.id, kept=place in kept, reason=_reason(lists[place], place in kept))
            for place, item in enumerate(items)
        ]


def _unlike(text: str, others: Sequence[str]) -> int:
    return sum(edit_distance(text, other) for other in others)


def _reason(way: str, kept: bool) -> str:
    what = f"calculations {way:.80}" if way else "no calculation"
    return f"the path kept of those with {what}" if kept else f"another path has the same: {what}"
