"""GEPA: the instructions that the policy works by, rewritten from what it did wrong. No weight is trained.

Paper: Agrawal et al., *GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning*, arXiv 2507.19457. A
model reads a few answers with what was said of them and writes a better system prompt; candidates that are best on some
task are kept (a Pareto front of tasks), and from them the next one grows.

A round spends ``evolve.calls`` answers on its training tasks: a part of them is reflected on, the rest compares
candidates. The best one goes to the gate, which asks tasks that no reflection saw.

Departures:
- The gate decides on fresh tasks, and the sealed exam tells the gain: the best of many on its own validation tasks is
  partly luck (the package returns that one).
- One text, the system prompt, and no merge of two candidates (the paper's GEPA+Merge), which needs several texts.
- Who reflects is ``judge_model`` where there is one, else the policy itself. The paper's reflector is as strong as the
  model that it improves, and that is 8 billion parameters or more; a small one should not be asked.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.protocols import Gate, Judge, RolloutPrompts, Solve
from instar.recipes.recipe import Recipe, Settings
from instar.records import Policy, Sampling
from instar.run.run import Run
from instar.update.memory.evolve_prompt import EvolvePrompt
from instar.update.memory.writing import REFLECTOR

GREEDY = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48))


class Gepa(Settings):
    """Settings of GEPA. ``solve`` should answer as the exam does: its answers are what candidates are compared by."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = GREEDY
    judge: Judge = Verify()
    evolve: EvolvePrompt = EvolvePrompt()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=GREEDY, judge=Verify())


async def gepa(run: Run, cfg: Gepa) -> Policy:
    """Evolve the system prompt, a gate after each round, and return the last promoted policy."""
    policy = run.base
    reflector = {} if run.other_model is None else {REFLECTOR: run.other_model}
    for _ in run.rounds(cfg.rounds):
        candidate = await run.update(
            cfg.evolve, policy, (), rollout_prompts=RolloutPrompts(run.train_tasks(), cfg.solve, cfg.judge),
            models=run.models(policy, **reflector), title="evolving the prompt",
        )  # fmt: skip
        if candidate.id != policy.id:
            policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
    run.evolved()
    return policy


RECIPE = Recipe(
    "gepa",
    "the system prompt, rewritten from what it did wrong; nothing is trained",
    "arXiv 2507.19457",
    Gepa,
    gepa,
)
