"""The whole loop of the survey: evaluation writes the next objective, and the objective decides what is trained on.

Tao et al., *A Survey on Self-Evolution of Large Language Models*, arXiv 2404.14387, section 2 (equations 2 to 7). The
learning itself is ReST-EM's (arXiv 2312.06585: sample, verify, retrain the base on all that was kept so far). What the
loop adds, each an operator: objectives from the dev set, tasks selected for them, a prediction before a round is paid
for, a gate that guards what the objective does not improve, and alarms.

Departures and choices:
- Tasks are selected from a pool (all of ``sizes.train``, over all rounds), ``per_round`` of them a round. Make the pool
  a few times larger than the rounds will take, or there is nothing to choose from.
- The dev set steers and so is used up by steering: it never promotes. ``dev_exam`` takes several samples an item at the
  training temperature, because room to learn is what some sample gets right and most do not.
- A gate that guards every ability of a small exam has no power left for the gain; here it guards those that the
  objective guards and that have something to lose. Name ``gate.guarded`` to guard others.
- ``uniform`` splits every round's tasks equally, whatever the objective says: the run to compare with.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.split import Split
from instar.errors import ConfigError
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.evaluate.prediction import VerificationGap
from instar.objective.room import RoomToLearn
from instar.protocols import Choose, Filter, Gate, Judge, Predict, Propose, Solve, Update, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Objective, Policy, Report, Sampling
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.weights.sft import SFT

WARM = Sampling(temperature=0.7, top_k=40, max_tokens=48)


class FullLoop(Settings):
    """Settings of the full loop. It needs a dev set: ``sizes.dev``, some 20 items for each ability.

    ``sizes.gate`` needs as many: a guard of 15 items cannot rule out a drop of 15 points (PairedGate's margin) even if
    none of them changed.
    """

    per_round: int = Field(default=180, ge=1)
    choose: Choose = RoomToLearn()
    propose: Propose = Split()
    uniform: bool = False
    predict: Predict | None = VerificationGap()
    solve: Solve = Sample(samples=8, sampling=WARM)
    judge: Judge = Verify()
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(), Distinct(), PerTaskCap(at_most=2, prefer="shortest"))
    train: Update = SFT()
    gate: Gate = PairedGate()
    dev_exam: Eval = Eval(solve=Sample(samples=8, sampling=WARM), judge=Verify(), samples=8)
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()


async def full_loop(run: Run, cfg: FullLoop) -> Policy:
    """Run the loop until its rounds are over or its objective says stop; return the last promoted policy."""
    policy, pool, refused = run.base, run.tasks.train, 0
    data: list[Experience] = []
    propose = Split(uniform=True) if cfg.uniform else cfg.propose
    reports = [await _on_dev(run, cfg, policy)]
    for _ in run.rounds(cfg.rounds):
        objectives = await run.choose(cfg.choose, reports, refused, cfg.per_round)
        if not objectives[0].tasks:
            break
        if cfg.predict:
            said = await run.predict(cfg.predict, cfg.judge, cfg.right, cfg.dev_exam, policy, reports[-1])
            if not said.kept:
                break  # the policy would stay, and so would what dev says of it: every later round is skipped too
        tasks = await run.propose(propose, objectives, pool)
        chosen = {t.id for t in tasks}
        pool = tuple(t for t in pool if t.id not in chosen)
        models = run.models(policy)
        tries = await run.judge(cfg.judge, await run.solve(cfg.solve, tasks, models), models)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        data += kept
        before = policy
        if data:
            candidate = await run.update(cfg.train, run.base, data)
            gate = _guarding(cfg.gate, objectives, reports[-1])
            policy = await run.promote(gate, cfg.exam, policy, candidate, run.gate_tasks())
        refused = 0 if policy.id != before.id else refused + 1
        reports.append(await _on_dev(run, cfg, policy))
        await run.health(cfg.watch, tries, kept, *reports[-2:])
    run.evolved()
    return policy


async def _on_dev(run: Run, cfg: FullLoop, policy: Policy) -> Report:
    report = await run.dev(cfg.dev_exam, policy)
    if report is None:
        raise ConfigError(
            "full_loop has no dev set: its objectives are written from dev.", "For example: --set sizes.dev=120"
        )
    return report


def _guarding(gate: Gate, objectives: list[Objective], dev: Report) -> Gate:
    """The gate with the abilities that these objectives only guard, unless its settings name some, or it has none.
    What does no better on dev than a constant answer has nothing to lose."""
    if "guarded" not in type(gate).model_fields or getattr(gate, "guarded", None) is not None:
        return gate
    guarded = [o.ability for o in objectives if o.direction == "guard" and _has_skill(dev, o.ability)]
    return gate.model_copy(update={"guarded": tuple(guarded)})


def _has_skill(dev: Report, ability: str) -> bool:
    metrics = dev.abilities.get(ability, {})
    score, constant = metrics.get(f"mean@{dev.exam.n}", metrics.get("mean@1")), metrics.get("best_constant")
    return score is not None and score.value > (constant.value if constant else 0.0)


RECIPE = Recipe(
    "full_loop", "evaluation writes the next objective, which is trained on", "arXiv 2404.14387", FullLoop, full_loop
)
