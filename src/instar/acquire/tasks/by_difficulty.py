"""Select tasks of the right difficulty for what the policy can do now: a band of expected success.

Difficulties and abilities are those of the Rasch model over all policies of the run (``instar.difficulty``), so that a
task that an earlier policy failed is not held to be as hard for this one. The band is R-Zero's (arXiv 2508.05004,
0.3 to 0.8) by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from instar.acquire.tasks.ranked import Chosen, Ranked
from instar.difficulty import Counted, Fit, chance, fit
from instar.protocols import Tried
from instar.records import Task


class ByDifficulty(Ranked):
    """Takes the tasks whose expected share of right answers lies nearest to the middle of ``low`` to ``high``, ties in
    the pool's order. What lies outside comes after all that lies inside.

    A task not tried yet is as hard as the mean of its ability's; of an ability without any, as the mean of all.
    ``model`` "2pl" tells tasks apart that sort policies well from those that do not; it wants many policies.
    """

    name: ClassVar[str] = "by_difficulty"

    low: float = Field(default=0.3, ge=0, le=1)
    high: float = Field(default=0.8, ge=0, le=1)
    model: Literal["rasch", "2pl"] = "rasch"

    @model_validator(mode="after")
    def _is_a_band(self) -> ByDifficulty:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}: no band lies between them")
        return self

    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        cells = [Counted(t.policy, t.task.id, t.right, t.tries) for t in tried]
        if not any(c.tries for c in cells):
            return [
                Chosen(t, "nothing was tried yet, so no difficulty is known: in the pool's order") for t in pool[:n]
            ]
        found = fit(cells, self.model)
        now = max(tried, key=lambda t: t.round).policy
        of = self._difficulties(pool, tried, found)
        able, middle = found.ability[now].value, (self.low + self.high) / 2
        slopes = {id: e.value for id, e in found.slope.items()}
        p = {t.id: chance(able, of[t.id][0], slopes.get(t.id, 1.0)) for t in pool}
        best = sorted(pool, key=lambda t: (not self.low <= p[t.id] <= self.high, abs(p[t.id] - middle)))
        band = f"the band {self.low:.0%} to {self.high:.0%}"
        return [
            Chosen(
                t,
                f"difficulty {of[t.id][0]:+.1f} ({of[t.id][1]}) for an ability of {able:+.1f}: {p[t.id]:.0%} right "
                f"expected, {'inside' if self.low <= p[t.id] <= self.high else 'outside'} {band}",
            )
            for t in best[:n]
        ]

    def _difficulties(self, pool: Sequence[Task], tried: Sequence[Tried], found: Fit) -> dict[str, tuple[float, str]]:
        """Each task's difficulty, and how it is known."""
        of_ability: dict[str, dict[str, float]] = {}
        for t in tried:
            if t.task.id in found.difficulty:
                of_ability.setdefault(t.task.ability, {})[t.task.id] = found.difficulty[t.task.id].value
        overall = fmean(e.value for e in found.difficulty.values())
        means = {a: fmean(own.values()) for a, own in of_ability.items()}
        known: dict[str, tuple[float, str]] = {}
        for task in pool:
            if task.id in found.difficulty:
                e = found.difficulty[task.id]
                known[task.id] = e.value, f"error {e.error:.1f}"
            else:
                what = "its ability's mean" if task.ability in means else "the mean of all"
                known[task.id] = means.get(task.ability, overall), f"not tried yet: {what}"
        return known
