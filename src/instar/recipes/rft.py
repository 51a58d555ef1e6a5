"""RFT, rejection sampling fine-tuning: many samples once, and of the right ones every different way of calculating.

Paper: Yuan et al., *Scaling Relationship on Learning Mathematical Reasoning with Large Language Models*, arXiv
2308.01825: 100 samples a question at temperature 0.7; kept are those with the right answer whose calculations all hold,
one for each list of equations; the base model is trained on them, 3 epochs. The number of *distinct* paths, not of
samples, is what predicts the gain.

Departures, each a setting:
- 16 samples a task.
- The sampler is the base itself and the gold solutions are not trained on: tasks have answers, no worked solutions. The
  paper first trains on the gold solutions, samples from that model, and trains on both.
- A gate decides whether the candidate replaces the base; the paper always takes it.
- ``control`` as in ReST-EM.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.solutions.sample import Sample
from instar.protocols import Filter, Solve, Update
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Policy, Sampling
from instar.refine.filters.calculation_right import CalculationRight
from instar.refine.filters.distinct_equations import DistinctEquations
from instar.refine.filters.length import Finished
from instar.run.run import Run
from instar.update.weights.sft import SFT


class Rft(SelfTraining):
    """Settings of RFT. It has one round: with more it would be ReST-EM."""

    rounds: int = Field(default=1, ge=1, le=1)
    solve: Solve = Sample(samples=16, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    keep: tuple[Filter, ...] = (Finished(), CalculationRight(), DistinctEquations())
    train: Update = SFT(epochs=3)


async def rft(run: Run, cfg: Rft) -> Policy:
    """Run RFT and return the candidate if the gate lets it pass, else the base."""
    policy = run.base
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await tries_of(run, cfg, run.train_tasks(), models)
        before = await run.dev(cfg.exam, policy)
        data = await run.keep((cfg.right, *cfg.keep), tries)
        if not data:
            run.note("no right answer: nothing to train on, the policy stays")
            break
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, data, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, tries, len(data))
    return policy


RECIPE = Recipe("rft", "sample often, keep every different right calculation, train once", "arXiv 2308.01825", Rft, rft)
