"""Keep one of several answers that say nearly the same, letter by letter or in meaning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience
from instar.similarity import near_duplicates, same_meaning


class NearDuplicates(Filter):
    """Keeps the first of the answers whose character shingles overlap by at least ``threshold`` (Jaccard).

    ``within`` "task" compares the answers to one task; "all" compares all answers of the round, which is meant for long
    ones: "The answer is 12." rightly answers many questions. Questions are compared when tasks are drawn (``cleaned``).
    """

    name: ClassVar[str] = "near_duplicates"
    scope: ClassVar[Literal["group", "all"]] = "all"

    threshold: float = Field(default=0.8, gt=0.0, le=1.0)
    within: Literal["task", "all"] = "task"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        def repeats(texts: Sequence[str]) -> list[int | None]:
            return [None if near is None else near[1] for near in near_duplicates(texts, self.threshold)]

        return _decided(items, self.within, repeats, f"nearly the same text (at least {self.threshold:g}) as")


class SemanticDuplicates(Filter):
    """Keeps the first of the answers whose meanings (all-MiniLM-L6-v2) have a cosine of at least ``threshold``.

    SemDeDup (arXiv 2303.09540) removes by embedding too, of each cluster all but one; here the first in order is kept.
    The embedding reads words, not sums: two answers with other numbers mean nearly the same to it.
    """

    name: ClassVar[str] = "semantic_duplicates"
    scope: ClassVar[Literal["group", "all"]] = "all"

    threshold: float = Field(default=0.95, gt=0.0, le=1.0)
    within: Literal["task", "all"] = "task"

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        said = f"nearly the same meaning (cosine at least {self.threshold:g}) as"
        return _decided(items, self.within, lambda texts: same_meaning(texts, self.threshold), said)


def _decided(
    items: Sequence[Experience], within: str, repeats: Callable[[Sequence[str]], list[int | None]], said: str
) -> list[Decision]:
    groups: dict[str, list[Experience]] = defaultdict(list)
    for item in items:
        groups[(item.task.id or item.task.digest) if within == "task" else ""].append(item)
    decided: dict[str, Decision] = {}
    for group in groups.values():
        for item, near in zip(group, repeats([e.solution.text for e in group]), strict=True):
            reason = "first of its kind" if near is None else f"{said} {group[near].id}"
            decided[item.id] = Decision(item=item.id, kept=near is None, reason=reason)
    return [decided[item.id] for item in items]
