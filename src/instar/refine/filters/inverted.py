"""Keep what another filter drops: a run that still improves with this has not learned from its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from instar.protocols import Filter
from instar.records import Decision, Experience


class Inverted(Filter):
    """The opposite of ``inner``, item by item, including what ``inner`` drops as unscored."""

    name: ClassVar[str] = "not"

    inner: Filter

    @property
    def scope(self) -> Literal["group", "all"]:  # type: ignore[override]  # it is the inner filter's, so not a constant
        return self.inner.scope

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        return [
            Decision(item=d.item, kept=not d.kept, reason=f"not {self.inner.name}: {d.reason}")
            for d in self.inner(items)
        ]
