"""Weigh a task by what there is to learn at it: many rows of those solved now and then, none of those always solved."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience, Mark


class TaskWeight(Filter):
    """Keeps right answers of a task in number by ``sqrt(p * (1 - p))``, p the share of its answers that are right
    (SC-SDPO, arXiv 2605.27765): ``at_most`` where p is a half, at least one where it is neither 0 nor 1, none where it
    is 1. A row counts as any other in training, so a task weighs as many rows as it has. The shortest are kept first.

    In the place of ``right`` in a recipe: it must see the wrong answers too. Those that a checker gave no mark count
    for neither.
    """

    name: ClassVar[str] = "task_weight"

    at_most: int = Field(default=4, ge=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        groups: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            groups.setdefault(item.task.id or item.task.digest, []).append(place)
        made: dict[int, Decision] = {}
        for group in groups.values():
            right = [i for i in group if _mark(items[i]) is Mark.right]
            told = len(right) + sum(_mark(items[i]) is Mark.wrong for i in group)
            share = len(right) / told if told else 0.0
            count = max(1, round(2 * self.at_most * sqrt(share * (1 - share)))) if 0 < share < 1 else 0
            right.sort(key=lambda i: (len(items[i].solution.text), i))
            kept, reason = set(right[:count]), f"{len(right)} of {told} answers to its task are right: {count} kept"
            made |= {i: Decision(item=items[i].id, kept=i in kept, reason=reason) for i in group}
        return [made[place] for place in range(len(items))]


def _mark(item: Experience) -> Mark | None:
    return item.feedback.mark if item.feedback else None
