"""Reflexion: try, be told right or wrong, say what went wrong, try again; what that is worth at its price.

Paper: Shinn et al., *Reflexion: Language Agents with Verbal Reinforcement Learning*, arXiv 2303.11366. The procedure is
the method: reflections are words in the prompt, and are gone when the task is over. So what is shown is the sealed exam
with the procedure, beside the paper's ablation (told that it was wrong, it tries again without a reflection) and beside
plain samples *at the same number of written tokens*. The evaluator reads the gold answer here, as the paper's does in
HotPotQA: an oracle, which nobody has who needs the answer. The rival that has the same oracle is the best of as many
samples.

``learn`` goes further than the paper: "memory" keeps the reflections that led to a right answer as notes, of which the
one that fits stands before a new question; "weights" trains the base on the right answers; "nothing" only examines.

Departures, each a setting: those of the operator ``reflexion``; 4 trials (the paper: 10 in AlfWorld, of programs 2).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.reflexion import Reflected
from instar.acquire.solutions.reflexion import Reflexion as Trials
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Filter, Gate, Update, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, NoteKind, Policy, Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.memory.remember import Remember
from instar.update.weights.sft import SFT

GREEDY = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48))


class Reflexion(Settings):
    """Settings of Reflexion. ``attempt`` is how training tasks are tried, ``procedure`` how the exam's are: its first
    answer is the one of the plain exam."""

    rounds: int = Field(default=1, ge=1)
    attempt: Trials = Trials()
    procedure: Trials = Trials(solve=GREEDY)
    learn: Literal["memory", "weights", "nothing"] = "memory"
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(), Distinct())
    remember: Remember = Remember(take="reflections")
    train: Update = SFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Recalling(inner=GREEDY, kinds=(NoteKind.reflection,)), judge=Verify())
    watch: Watch = VitalSigns()


async def reflexion(run: Run, cfg: Reflexion) -> Policy:
    """Learn from trials, if that is asked for; hand over the procedure to be examined; return the policy."""
    policy = await _learned(run, cfg) if cfg.learn != "nothing" else run.base
    run.evolved()
    for name, reflects in (("reflexion", True), ("retry", False)):
        trials = cfg.procedure.model_copy(update={"reflect": reflects})
        run.procedures[name] = Eval(solve=Reflected(attempt=trials), judge=cfg.exam.judge)
    return policy


async def _learned(run: Run, cfg: Reflexion) -> Policy:
    """Rounds of trials; what led to right answers is remembered, or trained on."""
    policy = run.base
    data: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        tries = await run.attempt(cfg.attempt, run.train_tasks(), run.models(policy), title="trying")
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        data += kept
        if not data:
            run.note("no trial was right: nothing to learn from, the policy stays")
            continue
        if cfg.learn == "memory":
            candidate = await run.update(cfg.remember, policy, kept, title="remembering") if kept else policy
        else:
            candidate = await run.update(cfg.train, run.base, data)
        if candidate.id != policy.id:
            policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
    return policy


RECIPE = Recipe("reflexion", "try, reflect on a failure in words, try again", "arXiv 2303.11366", Reflexion, reflexion)
