"""STaR: learn from your own rationales that reach the right answer, and from those written with the answer in sight.

Paper: Zelikman et al., *STaR: Bootstrapping Reasoning With Reasoning*, arXiv 2203.14465, algorithm 1. One nearly greedy
rationale a question; where it misses, one more with the gold answer as a hint (rationalisation); what reaches gold is
kept and the *base* model is trained on this round's rows, without the hint; again with the better model.

Departures, each a setting:
- Each round draws fresh training tasks (the paper goes through all of its questions again); the rows of earlier rounds
  are not kept, as in the paper.
- A gate decides whether the candidate becomes the next sampler; the paper always takes it.
- No few-shot prompt of worked examples: a policy has its own prompt.
- With more than one sample a task, a hint is given once, and only where no sample was right.
- A rationale that gives its hint away is dropped: otherwise the hint would be stored after all. Rationalised rows are
  flagged ``rationalised`` and counted apart, for they reach the right answer for wrong reasons more often.
- ``control`` as in ReST-EM.
"""

from __future__ import annotations

from collections.abc import Sequence

from instar.acquire.solutions.sample import Sample
from instar.protocols import Correct, Filter, Solve
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Policy, Sampling
from instar.refine.corrections.hint import Hint
from instar.refine.filters.unflagged import Unflagged
from instar.run.run import Run


class Star(SelfTraining):
    """Settings of STaR. Tasks need gold answers."""

    solve: Solve = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48))
    hint: Correct = Hint(sampling=Sampling(temperature=0.0, max_tokens=48))
    hinted: tuple[Filter, ...] = (Unflagged(),)


async def star(run: Run, cfg: Star) -> Policy:
    """Run STaR and return the last promoted policy."""
    policy = run.base
    first: list[Experience] = []
    used = 0
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await tries_of(run, cfg, run.train_tasks(), models)
        right, wrong = await run.split(cfg.right, tries)
        before = await run.dev(cfg.exam, policy)
        missed = one_a_task(wrong, besides=right)
        hinted = await run.judge(cfg.judge, await run.correct(cfg.hint, missed, models), models)
        own = await run.keep(cfg.keep, right)
        rationalised = await run.keep((cfg.right, *cfg.hinted, *cfg.keep), hinted)
        run.note(f"rows: {len(own)} of its own, {len(rationalised)} rationalised of {len(missed)} missed tasks")
        data = own + rationalised
        first, used = first or tries, used or len(data)
        if not data:
            run.note("no right answer in this round: nothing to train on, the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, data, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if cfg.control and used:
        run.controls["unverified"] = await unverified(run, cfg, first, used)
    return policy


def one_a_task(wrong: Sequence[Experience], *, besides: Sequence[Experience]) -> list[Experience]:
    """The first miss of each task that has no right answer."""
    solved = {e.task.id for e in besides}
    return list({e.task.id: e for e in reversed(wrong) if e.task.id not in solved}.values())[::-1]


RECIPE = Recipe("star", "sample, explain the misses with a hint, retrain the base", "arXiv 2203.14465", Star, star)
