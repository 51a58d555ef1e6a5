"""What can be foreseen of a run before a token is spent, and is worth a line."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from instar.acquire.tasks.table import Table, answered_twice
from instar.app.config import Plan
from instar.evaluate.gates import PairedGate
from instar.records import Task

MOST = 2_000
"""Items a guard is tried with, to say how many it needs."""


def contradicted(plan: Plan) -> list[str]:
    """Sentences on questions that the user's own files answer twice, and not alike. The files are read for it."""
    return [sentence for op in plan.ops() if isinstance(op, Table) for sentence in answered_twice(op)]


def foreseen(plan: Plan, sets: Mapping[str, Sequence[Task]]) -> list[str]:
    """Sentences, each with what to do; none for a run that can end well."""
    gate = getattr(plan.settings, "gate", None)
    if not isinstance(gate, PairedGate) or not sets.get("gate"):
        return []
    rounds = max(1, plan.settings.rounds)
    each = {ability: n // rounds for ability, n in Counter(t.ability for t in sets["gate"]).items()}
    # at best, samples of one item are as good as items
    samples = max(1, getattr(getattr(getattr(plan.settings, "exam", None), "solve", None), "samples", 1))
    blind = {a: each[a] for a in gate.blind_to({a: samples * n for a, n in each.items()})}
    if not blind:
        return []
    enough = _enough(gate, next(iter(blind)), samples)
    fewest = min(blind, key=lambda a: blind[a])
    needs, mend = "no number of them can", "Set "
    if enough is not None:
        needs, mend = f"each needs {enough}", f"Set sizes.gate to about {enough * len(each)}, "
    return [
        f"nothing can be promoted: {len(blind)} of {len(each)} guarded abilities have too few gate items a round "
        f"({fewest}: {blind[fewest]}) to rule out a drop of {100 * gate.guard_margin:g} points; {needs}. "
        f"{mend}gate.guard_margin higher, or gate.guarded=[] (guards none)."
    ]


def _enough(gate: PairedGate, ability: str, samples: int) -> int | None:
    """The fewest items that a guard can see its margin with; None where even ``MOST`` would not do. More items never
    see less, so it is searched by halves: each try is a bootstrap."""

    def blind(n: int) -> bool:
        return bool(gate.blind_to({ability: samples * n}))

    if blind(MOST):
        return None
    low, high = 1, 2
    while high < MOST and blind(high):
        low, high = high, min(MOST, 2 * high)
    return low + bisect_left(range(low, high), True, key=lambda n: not blind(n))
