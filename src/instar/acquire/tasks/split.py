"""Selective task evolution: no new tasks, but the ones that the objectives ask for, out of the pool not used yet.

The survey's TE-SEL (methods.md 1.4). DiverseEvol and V-STaR select too, by embedding distance and by what was solved;
here the split of the round's budget was decided by evaluation, and this only fills it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import Models, Propose
from instar.records import Objective, Task


class Split(Propose):
    """Takes each setting's share from the pool, in the pool's order. Where a setting's pool is short, its siblings (the
    other settings of its family) give the rest; what they lack too is left out, and the run says how many.

    ``uniform`` ignores how the objectives split the budget: equal shares of the whole of it for every ability they
    name, guarded ones too. It is what the objective is compared with.
    """

    name: ClassVar[str] = "split"

    uniform: bool = False

    async def __call__(self, objectives: Sequence[Objective], pool: Sequence[Task], models: Models) -> Sequence[Task]:
        wanted = self._wanted(objectives)
        left = {a: [t for t in pool if t.ability == a] for a in dict.fromkeys(t.ability for t in pool)}
        taken: list[Task] = []
        short: Counter[str] = Counter()
        for ability, n in wanted.items():
            own = left.get(ability, [])
            taken += own[:n]
            left[ability] = own[n:]
            if len(own) < n:
                short[ability] = n - len(own)
        for ability, n in short.items():
            family = ability.partition("/")[0]
            for sibling in [a for a in left if a.partition("/")[0] == family]:
                found, left[sibling] = left[sibling][:n], left[sibling][n:]
                taken += found
                n -= len(found)
        return taken

    def _wanted(self, objectives: Sequence[Objective]) -> dict[str, int]:
        parents = {o.parent for o in objectives}
        leaves = [o for o in objectives if o.parent is not None and o.id not in parents and o.ability not in parents]
        if not self.uniform:
            return {o.ability: o.tasks for o in leaves if o.tasks}
        share, extra = divmod(objectives[0].tasks, max(1, len(leaves)))
        return {o.ability: share + (place < extra) for place, o in enumerate(leaves)}
