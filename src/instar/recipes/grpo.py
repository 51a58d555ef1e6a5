"""GRPO: policy gradient within groups of answers, with rollouts of the model as it learns; a gate decides.

Paper: Shao et al., *DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models*,
arXiv 2402.03300, section 4.1 (algorithm 1). The whole inner loop (answer, judge, step, answer again with the new
weights) is one update: ``instar.update.weights.grpo`` has the settings and what departs from the paper.

Departures of the recipe:
- The reward is a verifier's, not a trained reward model's.
- After each round (``sizes.train`` tasks, each rolled out once) a gate decides whether the candidate stays; the paper
  always goes on. The next round goes on from the policy that was promoted, with a fresh optimiser.
- No reference model by default (``train.beta`` = 0), so none to be renewed each round.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.protocols import Gate, Judge, RolloutPrompts, Solve, Update
from instar.recipes.recipe import Recipe, Settings
from instar.records import Policy, Sampling
from instar.run.run import Run
from instar.update.weights.grpo import Grpo


class GroupPolicy(Settings):
    """Settings of GRPO. Answers are sampled at temperature 1 with nothing cut off: from the policy that is trained."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = Sample(samples=8, sampling=Sampling(temperature=1.0, top_k=None, max_tokens=48))
    judge: Judge = Verify()
    train: Update = Grpo()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if getattr(self.solve, "samples", 2) < 2:
            raise ValueError(
                "solve.samples is 1: GRPO compares the answers to one task with each other, give it 2 or more"
            )
        wanted = bool(getattr(self.train, "step_credit", 0.0))
        if wanted != self.judge.marks_steps:
            raise ValueError(
                f"train.step_credit is {getattr(self.train, 'step_credit', 0.0):g} and the judge {self.judge.name} "
                + (
                    "marks no steps: set judge to {op = 'step_credit', inner = ...}"
                    if wanted
                    else "marks steps that nothing reads: set train.step_credit (0.1), or judge to its inner one"
                )
            )
        return self


async def grpo(run: Run, cfg: GroupPolicy) -> Policy:
    """Run GRPO and return the last promoted policy."""
    policy = run.base
    for _ in run.rounds(cfg.rounds):
        rollout_prompts = RolloutPrompts(run.train_tasks(), cfg.solve, cfg.judge)
        candidate = await run.update(cfg.train, policy, (), rollout_prompts=rollout_prompts)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
    run.evolved()
    return policy


RECIPE = Recipe("grpo", "policy gradient within groups of answers", "arXiv 2402.03300", GroupPolicy, grpo)
