"""What the recipes share that have tasks made from given ones, answer them themselves, and train on the answers."""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.objective.steady import Steady
from instar.protocols import Choose, Create, Filter, Gate, Judge, Solve, Update, Watch
from instar.recipes.recipe import Settings
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.filters.answered import Answered
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.weights.sft import SFT


class Instructing(Settings):
    """Settings that mean the same in these recipes. ``made_a_round`` tasks are wanted of ``create`` in each round; the
    training tasks (``sizes.train``) are what they are made from.

    ``judge``: who says which answers are right ("none", as in the papers: nobody; ``vote`` for tasks without a key,
    ``verify`` for those of an operator that brings one). Without one all that passes ``keep`` is trained on.
    """

    rounds: int = Field(default=2, ge=1)
    made_a_round: int = Field(default=120, ge=1)
    goal: Choose = Steady()
    create: Create
    solve: Solve = Sample(samples=1, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=128))
    judge: Judge | None = None
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(), Answered(), Distinct(), PerTaskCap(at_most=1))
    train: Update = SFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()


async def instruct(run: Run, cfg: Instructing, *, newest: bool) -> Policy:
    """Make, answer, learn, round after round. What is made joins the training tasks as sources. ``newest``: of those,
    only as many as are wanted, what was made last first: so each generation comes from the one before it, and what
    could not be made goes on as it was."""
    policy, pool = run.base, list(run.tasks.train)
    seen: list[Task] = []
    data: list[Experience] = []
    for number in run.rounds(cfg.rounds):
        objectives = await run.choose(cfg.goal, [], 0, cfg.made_a_round)
        models = run.models(policy)
        sources = pool[: cfg.made_a_round] if newest else pool
        made = await run.create(cfg.create, objectives, sources, seen, models, at_least=number == 1)
        seen, pool = [*seen, *made], [*made, *pool]
        tries = await run.solve(cfg.solve, made, models) if made else []
        if cfg.judge is not None and tries:
            tries = await run.judge(cfg.judge, tries, models)
        goes_on = run.appraise(cfg.create, tries).kept
        filters = cfg.keep if cfg.judge is None else (cfg.right, *cfg.keep)
        kept = await run.keep(filters, tries) if tries else []
        data += kept
        if kept:
            candidate = await run.update(cfg.train, run.base, data)
            policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
            if cfg.judge is not None:
                await run.health(cfg.watch, tries, kept)
        else:
            run.note("no answer was kept in this round: the policy stays")
        if not goes_on:
            break
    run.evolved()
    return policy
