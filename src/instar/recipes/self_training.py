"""What the recipes share that sample answers, filter them, train the base on the rest and let a gate decide."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Attempt, Filter, Gate, Judge, Solve, Update, Watch
from instar.recipes.recipe import Settings
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.random_sample import RandomSample
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Handles, Run
from instar.update.weights.sft import SFT


class SelfTraining(Settings):
    """Settings that mean the same in each of these recipes; ``attempt``, if set, replaces ``solve`` and ``judge``."""

    rounds: int = Field(default=2, ge=1)
    solve: Solve = Sample(samples=8, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    judge: Judge = Verify()
    attempt: Attempt | None = None
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(), Distinct(), PerTaskCap(at_most=2, prefer="shortest"))
    train: Update = SFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()
    control: bool = False


async def tries_of(run: Run, cfg: SelfTraining, tasks: Sequence[Task], models: Handles) -> list[Experience]:
    """These tasks' answers with feedback: by ``attempt`` if there is one, and then with a note of what it saved."""
    if cfg.attempt is None:
        return await run.judge(cfg.judge, await run.solve(cfg.solve, tasks, models, peek=cfg.judge), models)
    tries = await run.attempt(cfg.attempt, tasks, models)
    most = {e.task.id: int(e.feedback.evidence.get("most", 0)) for e in tries if e.feedback}
    if sum(most.values()):
        saved = 1 - len(tries) / sum(most.values())
        run.note(f"{cfg.attempt.name}: asked {len(tries)} samples of at most {sum(most.values())}, saved {saved:.1%}")
    return tries


async def unverified(run: Run, cfg: SelfTraining, tries: Sequence[Experience], n: int) -> Policy:
    """The control: the same base trained on equally many answers that nobody checked. Examined, never promoted."""
    by_lot = await run.keep((Finished(), Distinct(), RandomSample(n=n, seed=run.seed)), tries)
    if len(by_lot) < n:
        run.note(f"the control has {len(by_lot)} answers and not {n}: the first round has no more distinct ones")
    return await run.update(cfg.train, run.base, by_lot, title="training the control")
