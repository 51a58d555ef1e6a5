"""Self-rewarding: the policy judges its own answers, and the best of a task is preferred to the worst.

Paper: Yuan et al., *Self-Rewarding Language Models*, arXiv 2401.10020, section 2: 4 answers a prompt (temperature 0.7,
top-p 0.9), each scored three times by the same model with an additive rubric; the highest and the lowest are a pair, a
tie is none; DPO with beta 0.1 from the current model. Two such rounds. No gain on mathematics was reported.

No gold answer decides what is trained on. They are used in two other places: in the exams, on tasks of their own; and
in ``audit``, which measures *after* a round how often the judge's order was right. As every judge that is a model, this
one is measured on planted answers before it is believed, in each round anew, for each round has another one
(``audit_with``): a model that cannot judge is refused before anything is learned.

Departures, each a setting:
- No seed data: the paper first trains on 3,200 instructions and 1,630 judgements by people. Here the base judges as it
  is, and training on answers alone may make it a worse judge.
- Fresh training tasks, not prompts of its own making.
- A gate decides; the paper has an outside judge choose the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from instar.acquire.feedback.rubric import Rubric
from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.protocols import Judge, Pairing, Solve
from instar.recipes.preferring import Preferring
from instar.recipes.recipe import Recipe
from instar.recipes.self_consistency import audited
from instar.records import Experience, Mark, Pair, Policy, Sampling
from instar.records.pair import Why
from instar.refine.pairs import Pairs
from instar.run.run import Run


class SelfRewarding(Preferring):
    """Settings of Self-Rewarding. ``judge`` sees no reference answer; with ``judge_model`` another model judges."""

    rounds: int = Field(default=2, ge=1)
    solve: Solve = Sample(samples=4, sampling=Sampling(temperature=0.7, top_p=0.9, max_tokens=48))
    judge: Judge = Rubric(reference=False)
    audit: Judge | None = Verify()
    pairs: Pairing = Pairs(why=Why.order, at_most=1)


async def self_rewarding(run: Run, cfg: SelfRewarding) -> Policy:
    """Run Self-Rewarding and return the last promoted policy."""
    policy = run.base
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await run.judge(cfg.judge, await run.solve(cfg.solve, run.train_tasks(), models), models)
        before = await run.dev(cfg.exam, policy)
        pairs = await run.pair(cfg.pairs, await run.keep(cfg.keep, tries))
        candidate = await run.update(cfg.train, policy, (), pairs=pairs)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        seen = tries if cfg.audit is None else await audited(run, cfg.audit, tries, models)
        run.note(order_accuracy(seen, pairs))
        chosen = [p.chosen for p in pairs]
        await run.health(cfg.watch, seen, chosen, before, await run.dev(cfg.exam, policy))
    run.evolved()
    return policy


def order_accuracy(seen: Sequence[Experience], pairs: Sequence[Pair]) -> str:
    """How many of the pairs gold would order alike, in words. Two right answers, or two wrong ones, it cannot order."""
    marks = {e.id: e.feedback.mark for e in seen if e.feedback and e.feedback.source != "judge"}
    known = [(marks.get(p.chosen.id), marks.get(p.rejected.id)) for p in pairs]
    told = [(a, b) for a, b in known if a is not None and b is not None and a is not b]
    if not told:
        return f"the judge's order of {len(pairs)} pairs: gold tells none of them apart"
    right = sum(a is Mark.right for a, _ in told)
    return (
        f"the judge's order of {len(pairs)} pairs: {right / len(told):.1%} as gold has it ({right} of {len(told)} that "
        "gold tells apart)"
    )


RECIPE = Recipe(
    "self_rewarding", "judge its own answers, prefer the best to the worst", "arXiv 2401.10020", SelfRewarding,
    self_rewarding,
)  # fmt: skip
