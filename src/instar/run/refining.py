"""The verbs between solving and training: solutions are rewritten, and decided on."""

from __future__ import annotations

from collections.abc import Sequence

from instar.errors import StepFailed
from instar.protocols import Correct, Filter, Models
from instar.records import Decision, Experience, Solution, hash_of
from instar.run.auditing import measure_filter
from instar.run.generate import Handles
from instar.run.learning import filtered
from instar.run.mapping import Item, by_task
from instar.run.outputs import Output, only
from instar.run.steps import Steps


async def correct(steps: Steps, op: Correct, attempts: Sequence[Experience], models: Handles) -> list[Experience]:
    """Rewritten solutions of these experiences, not yet judged. Each knows the solution it was made from."""

    def item(e: Experience) -> Item:
        async def work(bound: Models) -> list[Output]:
            inputs = (e.task.id, e.solution.id, *(h.policy.id for h in models.values()))
            return [Output(s, inputs) for s in await op(e, bound)]

        return Item(e.id, work)

    step = steps.step("correct", op, "correcting")
    with steps.engaged("generate", step):
        results = await step.map([item(e) for e in attempts], models)
    return [Experience(task=e.task, solution=s) for e in attempts for s in only(Solution, results.get(e.id, []))]


async def keep(
    steps: Steps, filters: Filter | Sequence[Filter], attempts: Sequence[Experience], *, tell: bool = True
) -> list[Experience]:
    """What passes all filters, one after the other. Every decision is recorded with its reason. ``tell``: say it where
    one leaves nearly every task without a right answer."""
    kept, plants = list(attempts), steps.measuring.planted.get(steps.round, [])
    for op in [filters] if isinstance(filters, Filter) else filters:
        if kept:
            plants = await measure_filter(steps, op, kept, plants)
            before, kept = kept, await _filter(steps, op, kept)
            if tell and (said := filtered(op, before, kept)):
                steps.note(said)
    return kept


async def _filter(steps: Steps, op: Filter, attempts: Sequence[Experience]) -> list[Experience]:
    async def work(_: Models) -> list[Output]:
        groups = list(by_task(attempts).values()) if op.scope == "group" else [list(attempts)]
        decisions = [d for group in groups for d in op(group)]
        if sorted(d.item for d in decisions) != sorted(e.id for e in attempts):
            raise StepFailed(f"the filter {op.name} did not decide on each item once.")
        return [Output(d, (d.item,)) for d in decisions]

    item = hash_of("items", [e.id for e in attempts])
    records = await steps.one("filter", op, item, work, tolerance=steps.tolerance, phase="filter")
    kept = {d.item for d in only(Decision, records) if d.kept}
    steps.note(f"{op.name}: kept {len(kept)} of {len(attempts)}")
    return [e for e in attempts if e.id in kept]
