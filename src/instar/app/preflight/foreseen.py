"""What can be foreseen of a run before a token is spent, and is worth a line."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from instar.acquire.tasks.table import Table, answered_twice
from instar.app.configs.config import Plan
from instar.evaluate.gates import PairedGate
from instar.evaluate.sequential import SequentialGate
from instar.protocols import Op, formerly
from instar.records import Task

MOST = 2_000
"""Items a guard is tried with, to say how many it needs."""


def contradicted(plan: Plan) -> list[str]:
    """Sentences on questions that the user's own files answer twice, and not alike. The files are read for it."""
    return [sentence for op in plan.ops() if isinstance(op, Table) for sentence in answered_twice(op)]


def renamed(plan: Plan) -> list[str]:
    """Sentences on settings that the config calls by the name they had in an older instar."""
    found = [*_old_names(plan.raw, plan.run), *_old_names(plan.raw, plan.settings)]
    return [f"{old} is called {new} now; its old name is still understood." for old, new in dict.fromkeys(found)]


def _old_names(given: Mapping[str, Any], made: BaseModel, where: str = "") -> Iterator[tuple[str, str]]:
    now = {old: new for new, old in formerly(type(made)).items()} if isinstance(made, Op) else {}
    for key, value in given.items():
        if key in now:
            yield where + key, where + now[key]
        elif isinstance(value, Mapping) and isinstance(inner := getattr(made, key, None), BaseModel):
            yield from _old_names(value, inner, f"{where}{key}.")


def foreseen(plan: Plan, sets: Mapping[str, Sequence[Task]]) -> list[str]:
    """Sentences, each with what to do; none for a run that can end well."""
    gate, tasks = getattr(plan.settings, "gate", None), sets.get("gate")
    if not tasks:
        return []
    rounds, said = max(1, plan.settings.rounds), []
    if isinstance(gate, SequentialGate):
        asked, gate = gate, gate.begun(tasks[: len(tasks) // rounds], rounds=rounds, seed=plan.run.seed)
        if not isinstance(gate, SequentialGate):
            said = [_too_few(asked, rounds, len(tasks) // rounds)]
    if not isinstance(gate, (PairedGate, SequentialGate)):
        return said
    each = {ability: n // rounds for ability, n in Counter(t.ability for t in tasks).items()}
    # at best, samples of one item are as good as items; to a bet an item is one item
    samples = max(1, getattr(getattr(getattr(plan.settings, "exam", None), "solve", None), "samples", 1))
    samples = samples if isinstance(gate, PairedGate) else 1
    blind = {a: each[a] for a in gate.blind_to({a: samples * n for a, n in each.items()})}
    if not blind:
        return said
    enough = _enough(gate, next(iter(blind)), samples)
    fewest = min(blind, key=lambda a: blind[a])
    needs, mend = "no number of them can", "Set "
    if enough is not None:
        needs, mend = f"each needs {enough}", f"Set sizes.gate to about {enough * len(each)}, "
    none = "nothing can be" if isinstance(gate, PairedGate) else "a candidate that leaves abilities as they are is not"
    return [
        *said,
        f"{none} promoted: {len(blind)} of {len(each)} guarded abilities have too few gate items a round "
        f"({fewest}: {blind[fewest]}) to rule out a drop of {100 * gate.guard_margin:g} points; {needs}. "
        f"{mend}gate.guard_margin higher, or gate.guarded=[] (guards none).",
    ]


def how_it_decides(plan: Plan, sets: Mapping[str, Sequence[Task]]) -> str | None:
    """What is fixed of a sequential gate before the first item; None for any other gate."""
    gate, rounds = getattr(plan.settings, "gate", None), max(1, plan.settings.rounds)
    if not isinstance(gate, SequentialGate) or not sets.get("gate"):
        return None
    share = sets["gate"][: len(sets["gate"]) // rounds]
    begun = gate.begun(share, rounds=rounds, seed=plan.run.seed)
    if not isinstance(begun, SequentialGate):
        return None
    return (
        f"at most {begun.cap} items a round in batches of {begun.batch}, in an order drawn from seed {begun.seed}; "
        f"error {gate.error:g} in all, {begun.alpha:g} in each of {begun.rounds} rounds; a gain of 20 points is "
        f"promoted in {begun.power():.0%} of simulated candidates (the least is 80 %)"
    )


def _too_few(gate: SequentialGate, rounds: int, items: int) -> str:
    asked = gate.model_copy(update={"cap": min(items, gate.cap or items), "rounds": gate.rounds or rounds})
    enough = asked.fewest()
    mend = (
        "no cap shows one"
        if enough is None
        else f"set sizes.gate{' and gate.cap' * (gate.cap is not None)} to {enough}"
    )
    return (
        f"the fixed test (paired_gate) decides and not {gate.name}: {asked.cap} items a round show a gain of 20 points "
        f"in {asked.power():.0%} of tries with an error of {asked.alpha:g} a round, and 80 % are wanted; {mend}."
    )


def _enough(gate: PairedGate | SequentialGate, ability: str, samples: int) -> int | None:
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
