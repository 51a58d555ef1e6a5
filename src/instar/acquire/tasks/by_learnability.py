"""Select the tasks that can be learned from most: some answers right, some wrong.

Foster et al., *LILO: Learning to Reason at the Frontier of Learnability*, arXiv 2502.12272: questions with a high
variance p (1 - p) of success first; the expected improvement of a policy grows with it.

Departures:
- The paper samples every candidate anew and keeps those with variance, which costs answers. Here p is estimated from
  the answers that the run has marked already, so that a round costs the same as one by lot: a Beta posterior whose
  prior is the ability's own mean, worth ``strength`` answers, and marks that count half as much a round later
  (``fade``: the policy has moved on). The expectation of p (1 - p) under it is what tasks are ordered by, so a task
  that is hardly known stands a little below one that is known to be half right.
- A share by lot (``explore``), so that what was hopeless is looked at again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.tasks.ranked import Chosen, Ranked, lot
from instar.protocols import Tried
from instar.records import Task


class ByLearnability(Ranked):
    """Takes the tasks with the largest expected p (1 - p), ties in the pool's order.

    A task not tried yet is judged by its ability's mean (``unseen`` "by_ability") or comes before all others ("first").
    ``over = "all"`` moves the budget between abilities too.
    """

    name: ClassVar[str] = "by_learnability"

    unseen: Literal["by_ability", "first"] = "by_ability"
    strength: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    fade: float = Field(default=0.5, gt=0, le=1)
    explore: float = Field(default=0.2, ge=0, le=1)
    seed: int = 0

    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        newest = max((t.round for t in tried), default=0)
        right, tries = defaultdict[str, float](float), defaultdict[str, float](float)
        by_task: dict[str, tuple[float, float]] = {}
        for t in tried:
            weight = self.fade ** (newest - t.round)
            right[t.task.ability] += t.right * weight
            tries[t.task.ability] += t.tries * weight
            r, k = by_task.get(t.task.id, (0.0, 0.0))
            by_task[t.task.id] = r + t.right * weight, k + t.tries * weight
        whole = (sum(right.values()) + 1) / (sum(tries.values()) + 2)
        mean = {a: (right[a] + whole) / (tries[a] + 1) for a in {t.ability for t in pool}}
        worth: dict[str, float] = {}
        for task in pool:
            r, k = by_task.get(task.id, (0.0, 0.0))
            worth[task.id] = _variance(r + self.strength * mean[task.ability],
                                       k - r + self.strength * (1 - mean[task.ability]))  # fmt: skip
        first = self.unseen == "first"
        best = sorted(pool, key=lambda t: (first and t.id in by_task, -worth[t.id]))
        by_lot = round(self.explore * min(n, len(pool)))
        chosen = [
            Chosen(t, self._why(t, worth[t.id], mean[t.ability], by_task)) for t in best[: min(n, len(pool)) - by_lot]
        ]
        rest = sorted(best[len(chosen) :], key=lambda t: lot(self.seed + newest, t))
        why = f"by lot, as {self.explore:.0%} of them are, so that what was out of reach is looked at again"
        return [*chosen, *(Chosen(t, why) for t in rest[:by_lot])]

    def _why(self, task: Task, worth: float, mean: float, by_task: dict[str, tuple[float, float]]) -> str:
        if task.id not in by_task:
            if self.unseen == "first":
                return "not tried yet, which comes first"
            return f"not tried yet; {mean:.0%} right of what is like it: learnability {worth:.3f} of 0.25"
        r, k = by_task[task.id]
        return f"{r:.1f} of {k:.1f} answers right, older ones counting less: learnability {worth:.3f} of 0.25"


def _variance(a: float, b: float) -> float:
    """The expectation of p (1 - p) where p is Beta(a, b)."""
    return a * b / ((a + b) * (a + b + 1))
