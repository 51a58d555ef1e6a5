"""Keep so many items by lot, whatever their score: the control that shows what verification is worth."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class RandomSample(Filter):
    """Keeps ``n`` of all items, drawn without replacement by ``seed``; all of them if there are fewer."""

    name: ClassVar[str] = "random_sample"
    scope: ClassVar[Literal["group", "all"]] = "all"

    n: int = Field(ge=0)
    seed: int = 0

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        size = min(self.n, len(items))
        how = f"by lot: {size} of {len(items)}, seed {self.seed}"
        chosen = set(random.Random(self.seed).sample(range(len(items)), size))
        return [
            Decision(
                item=item.id,
                kept=place in chosen,
                reason=f"{'drawn' if place in chosen else 'not drawn'} {how}",
            )
            for place, item in enumerate(items)
        ]
