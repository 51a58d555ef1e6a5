"""Select the tasks that were not looked at for longest, and select by lot: the control of every other selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.acquire.tasks.ranked import Chosen, Ranked, lot
from instar.protocols import Tried
from instar.records import Task


class ByAge(Ranked):
    """Takes what was never tried, in the pool's order, then what was tried longest ago (``again``)."""

    name: ClassVar[str] = "by_age"

    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        last: dict[str, int] = {}
        for t in tried:
            last[t.task.id] = max(t.round, last.get(t.task.id, 0))
        best = sorted(pool, key=lambda t: last.get(t.id, -1))
        return [Chosen(t, f"last tried in round {last[t.id]}" if t.id in last else "never tried") for t in best[:n]]


class ByLot(Ranked):
    """Draws without replacement by ``seed``, anew in each round."""

    name: ClassVar[str] = "by_lot"

    seed: int = 0

    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        round = max((t.round for t in tried), default=0)
        best = sorted(pool, key=lambda t: lot(self.seed + round, t))
        return [Chosen(t, f"by lot: {min(n, len(pool))} of {len(pool)}, seed {self.seed}") for t in best[:n]]
