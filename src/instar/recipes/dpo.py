"""DPO on its own answers: sample, verify, prefer the right answer of a task to its wrong one; a gate decides.

Paper: Rafailov et al., *Direct Preference Optimization: Your Language Model is Secretly a Reward Model*, arXiv
2305.18290, section 4. What is preferred is not people's choice but a verifier's: an own right answer to an own wrong
one of the same task, as in V-STaR's verifier (arXiv 2402.06457) and in iterative reasoning preference optimisation
(arXiv 2404.19733, whose added likelihood of the chosen answer is ``train.sft_weight``).

Departures, each a setting:
- At most 2 pairs a task, each answer used once before one is used twice. A task whose answers are all right, or all
  wrong, has no pair: it is left out, with that reason.
- Each round goes on from the policy that was promoted, which is its own reference; fresh tasks each round. A gate
  decides whether the candidate stays; the papers always take it.
- ``start = "rest_em"``: the first round trains the base on its right answers alone (``warm``), as ReST-EM does, and
  only the rounds after it prefer. DPO teaches little to a model that is seldom right.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from instar.protocols import Filter, Update
from instar.recipes.preferring import Preferring
from instar.recipes.recipe import Recipe
from instar.records import Policy
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.weights.sft import SFT


class DirectPreference(Preferring):
    """Settings of DPO. ``right`` and ``rows`` choose what ``warm`` trains on, where ``start`` is "rest_em"."""

    start: Literal["base", "rest_em"] = "base"
    warm: Update = SFT()
    right: Filter = ScoreAtLeast(minimum=1.0)
    rows: tuple[Filter, ...] = (Finished(), PerTaskCap(at_most=2, prefer="shortest"))

    @model_validator(mode="after")
    def _rounds(self) -> Self:
        if self.start == "rest_em" and self.rounds < 2:
            raise ValueError('start = "rest_em" takes the first round, and no other is left for pairs: set rounds = 2')
        return self


async def dpo(run: Run, cfg: DirectPreference) -> Policy:
    """Run DPO and return the last promoted policy."""
    policy = run.base
    for round in run.rounds(cfg.rounds):
        models = run.models(policy)
        solved = await run.solve(cfg.solve, run.train_tasks(), models, peek=cfg.judge)
        tries = await run.judge(cfg.judge, solved, models)
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep(cfg.keep, tries)
        if cfg.start == "rest_em" and round == 1:
            learned = await run.keep((cfg.right, *cfg.rows), kept)
            if not learned:
                run.note("no right answer in this round: nothing to train on, the policy stays")
                continue
            candidate = await run.update(cfg.warm, policy, learned)
        else:
            pairs = await run.pair(cfg.pairs, kept)
            learned = list({p.chosen.id: p.chosen for p in pairs}.values())
            candidate = await run.update(cfg.train, policy, (), pairs=pairs)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, learned, before, await run.dev(cfg.exam, policy))
    run.evolved()
    return policy


RECIPE = Recipe("dpo", "prefer its own right answers to its own wrong ones", "arXiv 2305.18290", DirectPreference, dpo)
