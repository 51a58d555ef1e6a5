"""What selections of tasks share: whose share of the round is filled, from what, in which order.

The survey's TE-SEL (methods.md 1.4). How many tasks each ability gets is decided by the objectives; which ones is
decided here, by an order over those that may be taken and a reason for each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from instar.hashing import hash_of
from instar.protocols import Selection, Tried
from instar.records import Decision, Objective, Task


class Chosen(NamedTuple):
    """A task that is taken, and why it and not another."""

    task: Task
    why: str


class Ranked(Selection):
    """Takes the best in the order of the operator that it is.

    ``over`` "objectives" fills each setting's share, and what its pool lacks from the other settings of its family, but
    for those whose share is nothing; "all", or objectives without steps, let the whole budget go to what is best
    anywhere in the pool, whatever the objectives say of the split.
    ``again`` also takes tasks that were tried before.
    """

    over: Literal["objectives", "all"] = "objectives"
    again: bool = False

    @abstractmethod
    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        """At most ``n`` tasks of ``pool``, the best first. ``tried``: all that was tried, of other tasks too."""
        ...

    def select(
        self, objectives: Sequence[Objective], pool: Sequence[Task], tried: Sequence[Tried]
    ) -> Sequence[Decision]:
        past = {t.task.id: t.task for t in tried} if self.again else {}
        there = {**{t.id: t for t in pool}, **past}
        parents = {o.parent for o in objectives}
        leaves = [o for o in objectives if o.parent is not None and o.id not in parents and o.ability not in parents]
        if self.over == "all" or not leaves:  # an objective without steps is a share of all
            chosen = [*self._ranked([*there.values()], objectives[0].tasks, tried)]
        else:
            chosen = self._shares(leaves, there, tried)
        return [Decision(item=c.task.id, kept=True, reason=c.why) for c in chosen]

    def _shares(self, leaves: Sequence[Objective], there: dict[str, Task], tried: Sequence[Tried]) -> list[Chosen]:
        chosen: list[Chosen] = []
        short: dict[str, int] = {}
        for o in leaves:
            own = [t for t in there.values() if t.ability == o.ability]
            taken = self._ranked(own, o.tasks, tried) if o.tasks else ()
            chosen += taken
            family = o.ability.partition("/")[0]
            short[family] = short.get(family, 0) + o.tasks - len(taken)
        closed = {o.ability for o in leaves if not o.tasks}  # a step that is not open, or is mastered, fills no gap
        for family, n in short.items():
            gone = {c.task.id for c in chosen} | {t.id for t in there.values() if t.ability in closed}
            left = [t for t in there.values() if t.ability.partition("/")[0] == family and t.id not in gone]
            chosen += self._ranked(left, n, tried) if n else ()
        return chosen


def lot(seed: int, task: Task) -> str:
    """A task's lot: tasks in the order of theirs are in no order. The same for the same task and seed."""
    return hash_of("lot", seed, task.id)
