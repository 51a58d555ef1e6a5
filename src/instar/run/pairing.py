"""The verb between judging and preference updates: answers are paired, and each pair says why it is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from instar.errors import StepFailed
from instar.protocols import Models, Pairing
from instar.records import Decision, Experience, Pair, Preference, hash_of
from instar.records.pair import no_pair
from instar.run.outputs import Output, only
from instar.run.steps import Steps


async def pair(steps: Steps, op: Pairing, attempts: Sequence[Experience]) -> list[Pair]:
    """The pairs of these answers, in the operator's order. Raises StepFailed where it paired what is no pair, or left
    an answer out without a word."""
    by_id = {e.id: e for e in attempts}

    async def work(_: Models) -> list[Output]:
        said = op(attempts)
        spoken = {id for p in said for id in ((p.chosen, p.rejected) if isinstance(p, Preference) else (p.item,))}
        if spoken != set(by_id):
            raise StepFailed(f"{op.name} did not say of each answer in which pair it is, or why in none.")
        found = [p for p in said if isinstance(p, Preference)]
        made = []
        for p in found:
            _whole(op, p, by_id)
            inputs = (p.task, *(id for e in (by_id[p.chosen], by_id[p.rejected]) for id in _parts(e)))
            made.append(Output(p, inputs))
        used = {p.chosen: f"preferred: {p.reason}" for p in found}
        used |= {p.rejected: f"rejected: {p.reason}" for p in found}
        decisions = [Decision(item=id, kept=True, reason=reason) for id, reason in used.items()]
        decisions += [d for d in said if isinstance(d, Decision) and d.item not in used]
        return [*made, *(Output(d, (d.item,)) for d in decisions)]

    item = hash_of("items", list(by_id))
    records = await steps.one("pair", op, item, work, tolerance=steps.tolerance, phase="filter")
    found = [_whole(op, p, by_id) for p in only(Preference, records)]
    left = Counter(d.reason for d in only(Decision, records) if not d.kept)
    tasks = len({p.chosen.task.id for p in found})
    steps.note(f"{op.name}: {len(found)} pairs of {tasks} tasks from {len(by_id)} answers")
    for reason, n in left.most_common(2):
        steps.note(f"  {n} in none: {reason}")
    return found


def _whole(op: Pairing, p: Preference, by_id: dict[str, Experience]) -> Pair:
    chosen, rejected = by_id[p.chosen], by_id[p.rejected]
    if no := no_pair(chosen, rejected):
        raise StepFailed(f"{op.name} preferred {p.chosen} to {p.rejected}, which is {no}.")
    return Pair(preference=p, chosen=chosen, rejected=rejected)


def _parts(e: Experience) -> list[str]:
    return [e.solution.id, *([e.feedback.id] if e.feedback else [])]
