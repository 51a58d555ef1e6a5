"""Consolidate: an example that helps, then training with it in sight, then what that gave into the weights alone.

Papers: context distillation (Snell et al., *Learning by Distilling Context*, arXiv 2209.15189): what a model does with
something in its prompt is learned without it. Singh et al., *Beyond Human Data*, arXiv 2312.06585, for the training
between, and Kim et al., arXiv 2206.08082, for the examples.

The first round chooses an own verified answer as an example, as ``demonstrations`` does. Each round after it samples
with the example in sight and trains on the verified answers under the prompt that they were given to (ReST-EM). The
last one samples again, and trains on all of them under the plain prompt. Then dev says whether the example still adds
anything beside the new weights: if not, it is retired. A gate stands at the end of each round.

Departures, each a setting:
- Only verified answers are learned; the paper distils whatever the teacher says.
- The last round goes on from the weights of the one before; ReST-EM trains the base each time.
- ``controls``: the policy with the example alone, and the new weights without it (or with it, where it is retired).
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.solutions.sample import Sample
from instar.errors import ConfigError
from instar.protocols import Filter, Solve, Update
from instar.recipes.demonstrations import Demonstrations, best_example, right_of
from instar.recipes.recipe import Recipe
from instar.records import Experience, Policy, Report, Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.run.run import Run
from instar.update.memory.consolidate import Consolidate
from instar.update.weights.sft import SFT


class Consolidating(Demonstrations):
    """Settings of consolidate: those of ``demonstrations`` for the first round, and of training for the others."""

    rounds: int = Field(default=3, ge=2)
    sample: Solve = Sample(samples=8, sampling=Sampling(temperature=1.0, top_k=40, max_tokens=48))
    """Warm: with an example in sight answers are alike, and what is said twice is learned once."""
    keep_rows: tuple[Filter, ...] = (Finished(), Distinct(), PerTaskCap(at_most=2, prefer="shortest"))
    train: Update = SFT()
    consolidate: Consolidate = Consolidate()
    worth: float = Field(default=0.0, ge=0, lt=1)
    """What an example must add on dev beside the new weights, as a share of its tasks, or it is retired."""


async def consolidate(run: Run, cfg: Consolidating) -> Policy:
    """Show, train with it in sight, consolidate; return the last promoted policy."""
    if not run.tasks.dev:
        raise ConfigError(
            "consolidate has no dev set: its example is chosen, and retired, on dev.",
            "For example: --set sizes.dev=120",
        )
    policy = showing = run.base
    example: Experience | None = None
    rows: list[Experience] = []
    for number in run.rounds(cfg.rounds):
        models = run.models(policy)
        solve, keep = (cfg.solve, cfg.keep) if number == 1 else (cfg.sample, cfg.keep_rows)
        tries = await run.judge(cfg.judge, await run.solve(solve, run.train_tasks(), models, peek=cfg.judge), models)
        kept = await run.keep((cfg.right, *keep), tries)
        before = await _dev(run, cfg, policy)
        rows += kept if number > 1 else []
        if not (kept if number == 1 else rows):
            run.note("no right answer in this round: nothing to show or to train on, the policy stays")
            continue
        if number == 1:
            chosen, candidate, _ = await best_example(run, cfg, policy, kept, before)
        elif number < cfg.rounds:
            candidate = await run.update(cfg.train, showing, rows)
        else:
            candidate = await _consolidated(run, cfg, policy, example, rows)
        if candidate is not None:
            promoted = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
            if number == 1 and promoted.id == candidate.id:
                example, showing = chosen, promoted
            policy = promoted
        await run.health(
            cfg.watch, tries, kept, before, await run.evaluate(cfg.exam, policy, run.tasks.dev, suite="dev")
        )
    run.evolved()
    if cfg.controls and showing.id not in (run.base.id, policy.id):
        run.controls["demonstrations"] = showing
    return policy


async def _consolidated(
    run: Run, cfg: Consolidating, policy: Policy, example: Experience | None, rows: list[Experience]
) -> Policy:
    """The new weights with the example, or without where dev says that it adds nothing. The other one is a control."""
    references = {"plain": run.base}
    alone = await run.update(cfg.consolidate, policy, rows, references=references, title="consolidating")
    if example is None:
        return alone
    shown = await run.update(cfg.show, alone, [example], title="showing the example beside the new weights")
    plain, beside = await _dev(run, cfg, alone), await _dev(run, cfg, shown)
    retired = right_of(beside) - right_of(plain) <= cfg.worth
    run.note(
        f"the new weights on dev: {right_of(plain):.1%} without the example, {right_of(beside):.1%} with it: "
        f"{'it is retired' if retired else 'it stays'}"
    )
    if cfg.controls:
        run.controls["with" if retired else "without"] = shown if retired else alone
    return alone if retired else shown


async def _dev(run: Run, cfg: Consolidating, policy: Policy) -> Report:
    return await run.evaluate(cfg.exam, policy, run.tasks.dev, suite="dev")


RECIPE = Recipe(
    "consolidate",
    "an own example, training with it in sight, then what that gave into the weights alone",
    "arXiv 2209.15189",
    Consolidating,
    consolidate,
)
