"""What the recipes share that correct answers: learn from the corrections if asked to, then measure the procedure."""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.corrected import Corrected
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Correct, Filter, Gate, Judge, Solve, Update, Watch
from instar.recipes.recipe import Settings
from instar.recipes.self_consistency import audited, label_accuracy
from instar.records import Experience, Policy, Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.unflagged import Unflagged
from instar.run.run import Run
from instar.update.weights.sft import SFT


class Correcting(Settings):
    """Settings that mean the same in each of these recipes.

    ``learn``: train the base on corrected answers that ``right`` and ``keep`` let pass. ``right`` looks at what the
    correction itself found, not at gold answers; to use those set ``judge`` and ``right = "score_at_least"``.
    """

    rounds: int = Field(default=1, ge=1)
    learn: bool = False
    solve: Solve = Sample(samples=1, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    correct: Correct
    judge: Judge | None = None
    audit: Judge | None = Verify()
    right: Filter = Unflagged(flag="unresolved")
    keep: tuple[Filter, ...] = (Finished(), Distinct())
    train: Update = SFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()


async def correcting(run: Run, cfg: Correcting) -> Policy:
    """Learn from corrections, if that is asked for; hand over the procedure to be examined; return the policy."""
    policy = await learned(run, cfg) if cfg.learn else run.base
    run.evolved()
    run.procedures[cfg.correct.name] = Eval(
        solve=Corrected(draft=cfg.exam.solve, correct=cfg.correct), judge=cfg.exam.judge
    )
    return policy


async def learned(run: Run, cfg: Correcting) -> Policy:
    """Rounds of answering, correcting and training the base on the corrected answers of all rounds so far."""
    policy = run.base
    data: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await run.solve(cfg.solve, run.train_tasks(), models)
        corrected = await run.correct(cfg.correct, tries, models)
        if cfg.judge is not None:
            corrected = await run.judge(cfg.judge, corrected, models)
        changed = sum("unchanged" not in e.solution.flags for e in corrected)
        run.note(f"{cfg.correct.name}: {changed} of {len(corrected)} answers changed")
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), corrected)
        data += kept
        if not data:
            run.note("no corrected answer passed: nothing to train on, the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        seen = corrected if cfg.audit is None else await audited(run, cfg.audit, corrected, models)
        run.note(label_accuracy(seen, {e.id for e in kept}))
        await run.health(cfg.watch, seen, kept, before, await run.dev(cfg.exam, policy))
    return policy
