"""Self-consistency training (LMSI): the majority of your own answers is the label. No gold answer is looked at.

Paper: Huang et al., *Large Language Models Can Self-Improve*, arXiv 2210.11610: 32 paths a question at temperature 0.7;
the most frequent answer is taken for right; *all* paths that reach it are trained on, once.

What is trained on is chosen by votes alone: ``judge`` and ``attempt`` take nothing but a vote. Gold answers are used in
two other places: the exams (dev, gate, sealed), on tasks of their own; and ``audit``, which measures *after* a round
how many labels were right. What it finds is recorded, shown, and watched by the alarms; no policy is made from it.

Departures, each a setting:
- 16 samples a task, and at most 4 paths kept, of majorities with a margin of at least 0.2 (the paper: all of all).
- One format; the paper writes each path in four (with and without rationale, with and without few-shots).
- More rounds than the paper's one are possible: fresh tasks, the vote of the newest policy, the base trained on the
  rows of all rounds so far. A gate decides; the paper always takes the candidate.
- ``control`` as in ReST-EM: equally many answers by lot.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import Field, field_validator

from instar.acquire.feedback.verify import Verify
from instar.acquire.feedback.vote import Vote
from instar.acquire.solutions.adaptive import Adaptive
from instar.acquire.solutions.sample import Sample
from instar.errors import StepFailed
from instar.protocols import Filter, Judge, Solve
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Mark, Policy, Sampling
from instar.refine.filters.length import Finished
from instar.refine.filters.margin_at_least import MarginAtLeast
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.run.run import Handles, Run


class SelfConsistency(SelfTraining):
    """Settings of self-consistency training. ``attempt`` may be ``adaptive`` with ``judge = "vote"``."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = Sample(samples=16, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    judge: Vote = Vote()
    attempt: Adaptive | None = None
    right: Filter = MarginAtLeast(minimum=0.2)
    keep: tuple[Filter, ...] = (Finished(), PerTaskCap(at_most=4))
    audit: Judge | None = Verify()

    @field_validator("attempt")
    @classmethod
    def _votes(cls, value: Adaptive | None) -> Adaptive | None:
        if value is not None and not isinstance(value.judge, Vote):
            raise ValueError(f'its judge is {value.judge.name!r}; no gold answer may be used here: set judge = "vote"')
        return value


async def self_consistency(run: Run, cfg: SelfConsistency) -> Policy:
    """Train on majorities and return the last promoted policy."""
    policy = run.base
    data: list[Experience] = []
    first: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await tries_of(run, cfg, run.train_tasks(), models)
        first = first or tries
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        data += kept
        if not data:
            run.note("no majority is clear enough in this round: nothing to train on, the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        seen = tries if cfg.audit is None else await audited(run, cfg.audit, tries, models)
        run.note(label_accuracy(seen, {e.id for e in kept}))
        await run.health(cfg.watch, seen, kept, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, first, len(data))
    return policy


async def audited(run: Run, audit: Judge, tries: Sequence[Experience], models: Handles) -> list[Experience]:
    """The same answers as gold sees them. Where there is no gold answer, or the audit fails, the vote's word stays."""
    try:
        checked = await run.judge(audit, tries, models)
    except StepFailed as e:
        run.note(f"the audit failed and is left out: {e.message}")
        return list(tries)
    known = {e.id: e for e in checked if e.feedback and e.feedback.mark in (Mark.right, Mark.wrong)}
    return [known.get(e.id, e) for e in tries]


def label_accuracy(seen: Sequence[Experience], kept: Collection[str]) -> str:
    """How many of the kept labels gold calls right, in words."""
    marks = [e.feedback.mark for e in seen if e.id in kept and e.feedback and e.feedback.source != "vote"]
    if not marks:
        return f"label accuracy of {len(kept)} kept answers: not known"
    right = marks.count(Mark.right)
    return f"label accuracy of {len(kept)} kept answers: {right / len(marks):.1%} ({right} of {len(marks)} audited)"


RECIPE = Recipe(
    "self_consistency",
    "train on what most of its own answers agree on",
    "arXiv 2210.11610",
    SelfConsistency,
    self_consistency,
)
