"""SPIN, self-play fine-tuning: given answers are preferred to the policy's own, round after round.

Paper: Chen et al., *Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models*, arXiv 2401.01335,
section 4: the opponent is the policy of the round before; it answers each prompt once, and the loss is DPO's with the
given answer as the chosen one, its own as the rejected one and the opponent as the reference, beta 0.1; from the second
round on the pairs of the last two rounds are trained on. It ends where its answers cannot be told from the given ones:
it cannot become better than they are.

Departures, each a setting:
- Fresh tasks each round (the paper goes through the same prompts again): procedural tasks are free.
- ``judge`` says which own answers are right, and these are rejected in no pair: a right answer is nothing to get away
  from. ``judge = "none"`` rejects all, as the paper does.
- A gate decides whether the candidate is the next opponent; the paper always takes it.
- beta stays 0.1 (the authors' fourth round has 5.0).
- A task's given answer is its ``solution`` where it has one, else a sentence with its ``answer``: a short one beside
  long ones is told apart by its length (issue 9 of the authors' code), so give worked solutions where there are any.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.gold import Gold
from instar.acquire.solutions.sample import Sample
from instar.protocols import Judge, Pairing, Solve
from instar.recipes.preferring import Preferring
from instar.recipes.recipe import Recipe
from instar.records import Pair, Policy, Sampling
from instar.records.pair import Why
from instar.refine.pairs import Pairs
from instar.run.run import Run


class Spin(Preferring):
    """Settings of SPIN. Tasks need answers of their own."""

    rounds: int = Field(default=2, ge=1)
    solve: Solve = Sample(samples=1, sampling=Sampling(temperature=1.0, top_k=None, max_tokens=48))
    given: Solve = Gold()
    judge: Judge | None = Verify()  # type: ignore[assignment]  # here it only spares what is right
    pairs: Pairing = Pairs(why=Why.gold, at_most=1)


async def spin(run: Run, cfg: Spin) -> Policy:
    """Run SPIN and return the last promoted policy."""
    policy = run.base
    last: list[Pair] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        own = await run.solve(cfg.solve, run.train_tasks(), models, peek=cfg.judge)
        if cfg.judge is not None:
            own = await run.judge(cfg.judge, own, models)
        given = await run.solve(cfg.given, run.train_tasks(), models, title="given answers")
        before = await run.dev(cfg.exam, policy)
        pairs = await run.pair(cfg.pairs, [*given, *own])
        candidate = await run.update(cfg.train, policy, (), pairs=[*last, *pairs])
        last = pairs
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        chosen = [p.chosen for p in pairs]
        await run.health(cfg.watch, own, chosen, before, await run.dev(cfg.exam, policy))
    run.evolved()
    return policy


RECIPE = Recipe("spin", "prefer given answers to its own, round after round", "arXiv 2401.01335", Spin, spin)
