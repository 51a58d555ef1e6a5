"""A recipe that learns nothing: solve every training task once, note which answers have an even length.

It shows the shape of a recipe that lives outside instar; as a method it is the control that never changes.
"""

from __future__ import annotations

from instar.acquire.solutions.sample import Sample
from instar.protocols import Filter, Solve
from instar.recipes.recipe import Recipe, Settings
from instar.records import Policy
from instar.run.run import Run
from instar_extra.even_length import EvenLength


class OneShot(Settings):
    """Settings: how to solve, and what to note about the answers."""

    rounds: int = 1
    solve: Solve = Sample(samples=1)
    notes: Filter = EvenLength()


async def one_shot(run: Run, cfg: OneShot) -> Policy:
    """Solve once, decide, and return the policy it was given."""
    for _ in run.rounds(cfg.rounds):
        tries = await run.solve(cfg.solve, run.train_tasks(), run.models(run.base))
        await run.keep(cfg.notes, tries)
    return run.base


ONE_SHOT = Recipe(
    name="one_shot", paper="none (an example)", title="Solve once, learn nothing", config=OneShot, function=one_shot
)
