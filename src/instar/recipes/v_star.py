"""V-STaR: learn from right answers to answer, and from right beside wrong ones to tell them apart; then take the best.

Paper: Hosseini et al., *V-STaR: Training Verifiers for Self-Taught Reasoners*, arXiv 2402.06457, section 3. In each of
three rounds 16 answers a task; the right ones of all rounds train the base anew (the generator, as in ReST-EM); all of
them, right and wrong, are kept for the verifier. After the last round the verifier is trained once, by DPO from the
base, on every pair of a right and a wrong answer to one task. At test the generator's answers are ranked by it.

The procedure is examined as such: ``best_of`` on the sealed tasks, beside the majority of as many samples as cost the
same, the tokens that the verifier read counted.

Departures, each a setting:
- 8 answers a task, two rounds; at most 8 pairs a task (the paper: the whole product).
- ``best_of.by = "ratio"`` (see there); the paper ranks by the verifier's likelihood.
- Fresh tasks each round. A gate decides whether the candidate is the next generator; the paper always takes it.
"""

from __future__ import annotations

from instar.acquire.solutions.best_of import BestOf
from instar.evaluate.eval import Eval
from instar.protocols import Filter, Pairing, Update
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Policy, Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.pairs import Pairs
from instar.run.run import Run
from instar.update.weights.dpo import Dpo


class VStar(SelfTraining):
    """Settings of V-STaR: ``train`` makes the generator as in ReST-EM, ``verifier`` the verifier from ``pairs`` of what
    ``differing`` keeps of all answers; ``best_of`` is what is examined."""

    differing: tuple[Filter, ...] = (Distinct(),)
    pairs: Pairing = Pairs(at_most=8)
    verifier: Update = Dpo()
    best_of: BestOf = BestOf(sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))


async def v_star(run: Run, cfg: VStar) -> Policy:
    """Run V-STaR, hand over the procedure to be examined, and return the last promoted generator."""
    policy, verifier = run.base, run.base
    data: list[Experience] = []
    first: list[Experience] = []
    judged: list[Experience] = []
    for round in run.rounds(cfg.rounds):
        tries = await tries_of(run, cfg, run.train_tasks(), run.models(policy))
        first, judged = first or tries, judged + tries
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        data += kept
        if data:
            candidate = await run.update(cfg.train, run.base, data)
            policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        else:
            run.note("no right answer in this round: nothing to train on, the policy stays")
        await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
        if round == cfg.rounds:
            pairs = await run.pair(cfg.pairs, await run.keep(cfg.differing, judged))
            verifier = await run.update(cfg.verifier, run.base, (), pairs=pairs, title="training the verifier")
    run.evolved()
    if verifier.id == run.base.id:
        run.note("no pair, no verifier: best-of-n is not examined")
    else:
        run.procedures["best_of"] = Eval(solve=cfg.best_of, judge=cfg.exam.judge)
        run.casts["best_of"] = {"verifier": verifier, "reference": run.base}
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, first, len(data))
    return policy


RECIPE = Recipe(
    "v_star", "learn to answer and to verify, then take the best of many", "arXiv 2402.06457", VStar, v_star
)
