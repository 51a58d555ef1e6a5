"""ReST-EM: sample many answers, keep the verified ones, train the base on them; again with the better sampler.

Paper: Singh et al., *Beyond Human Data: Scaling Self-Training for Problem-Solving with Language Models*,
arXiv 2312.06585, sections 3 and 4. E-step: N samples a question (32 on MATH) at temperature 0.7, top-k 40; binary
reward. M-step: train the *base* model on the samples with reward 1, at most 10 a question, by plain likelihood.

Departures, each a setting:
- 8 samples a task, and at most 2 kept: a small model on two cores, not PaLM 2. The shortest right answers are kept.
- Each round draws fresh training tasks and trains on the right answers of all rounds so far (the paper samples the same
  questions again): procedural tasks are free, and repeated ones are overfitted first (paper, figure 4).
- A gate decides whether the candidate becomes the next sampler; the paper always takes it.
- ``control`` trains the same base once more on equally many *unverified* answers of the first round, to show what
  training alone does. It is examined beside the result and never promoted.
"""

from __future__ import annotations

from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Policy
from instar.run.run import Run


class RestEM(SelfTraining):
    """Settings of ReST-EM: those that all of these recipes share."""


async def rest_em(run: Run, cfg: RestEM) -> Policy:
    """Run ReST-EM and return the last promoted policy."""
    policy = run.base
    data: list[Experience] = []
    first: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        tries = await tries_of(run, cfg, run.train_tasks(), run.models(policy))
        first = first or tries
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        data += kept
        if not data:
            run.note("no right answer in this round: nothing to train on, the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, first, len(data))
    return policy


RECIPE = Recipe("rest_em", "sample, verify, retrain the base", "arXiv 2312.06585", RestEM, rest_em)
