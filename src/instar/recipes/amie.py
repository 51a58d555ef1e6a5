"""AMIE: a doctor and a patient learn by talking to each other, a critic's comments in between; it ends in a diagnosis.

Paper: Tu et al., *Towards Conversational Diagnostic AI*, arXiv 2401.05654, section 3. One model plays doctor, patient,
moderator and critic. Inner loop: a consultation is held anew with the critic's comments and the earlier dialogue in
sight, twice. Outer loop: both roles learn, three random turns of each a dialogue, in the first round from static
dialogues alone, then from static and refined ones; the better model plays the next round.

The illnesses are made up: nothing here is medical advice, and what is learned is of no use to anybody who is ill.

Departures, each a setting:
- Cases come from a table of twelve illnesses (``clinic``); the paper's model writes vignettes from search results. The
  static dialogues are of a doctor of rules, who asks what tells most; the paper has 89,027 real ones.
- Two rounds (the authors speak of seven), of fresh cases. Each trains the base anew on all that there is so far.
- A refined dialogue is learned only where its diagnosis is right (``right``); the paper takes all.
- The exam's patient is one of fixed rules: one that learned beside the doctor would examine it ever more kindly.
- Moderator and critic are rules by default (a diagnosis ends it; what was not asked for is named): a model of 135M
  plays neither. ``simulate.moderator`` and ``refine.critic`` "model" let it.
- ``quality``: base and result compared by a judge in both orders, on the dev cases; the paper asks physicians.
- A gate decides whether the candidate becomes the next doctor and patient.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from instar.acquire.environments.clinic import other_side
from instar.acquire.feedback.diagnosis import Diagnosis
from instar.acquire.feedback.pairwise import Pairwise
from instar.acquire.solutions.consult import Consult, StaticConsultation
from instar.errors import ConfigError
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Filter, Gate, Judge, Solve, Update, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.corrections.reconsult import Reconsult
from instar.refine.corrections.some_turns import SomeTurns
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.weights.sft import SFT

ROLES = ("patient", "moderator", "critic")
"""Who speaks beside the doctor, played by the same policy as the doctor is."""


class Amie(Settings):
    """Settings of AMIE. Tasks are a clinic's, with both sides of each training case (``tasks.sides``). ``played``: how
    many of a round's cases are played by the policy at most; all have a static dialogue."""

    rounds: int = Field(default=2, ge=1)
    static: Solve = StaticConsultation()
    played: int | None = Field(default=None, ge=1)
    simulate: Consult = Consult(patient="model")
    judge: Judge = Diagnosis()
    refine: Reconsult = Reconsult(consult=Consult(patient="model"), critic="rule")
    right: Filter = ScoreAtLeast(minimum=1.0)
    turns: SomeTurns = SomeTurns()
    train: Update = SFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Consult(sampling=Sampling(temperature=0.0, max_tokens=24)), judge=Diagnosis())
    quality: Pairwise | None = None
    watch: Watch = VitalSigns()


async def amie(run: Run, cfg: Amie) -> Policy:
    """Run AMIE and return the last promoted policy."""
    policy = run.base
    data: list[Experience] = []
    for round in run.rounds(cfg.rounds):
        tasks = run.train_tasks()
        cases = [t for t in tasks if t.private.get("role") == "doctor"]
        if not cases:
            raise ConfigError("amie has no cases to learn from.", 'Set tasks to {op = "clinic", sides = true}.')
        models = run.models(policy, **dict.fromkeys(ROLES, policy))
        before = await run.dev(cfg.exam, policy)
        static = await run.solve(cfg.static, tasks, models, title="static consultations")
        data += await run.correct(cfg.turns, static, models)
        tries: list[Experience] = []
        kept: list[Experience] = []
        if round > 1:
            tries = await run.judge(cfg.judge, await run.solve(cfg.simulate, cases[: cfg.played], models), models)
            refined = await run.judge(cfg.judge, await run.correct(cfg.refine, tries, models), models)
            kept = await run.keep(cfg.right, refined)
            run.note(f"consultations: {course(tries)}; refined: {course(refined)}")
            data += await run.correct(cfg.turns, kept, models)
            turned = cfg.turns.model_copy(update={"side": "partner"})
            data += await run.correct(turned, as_the_patient(kept, tasks), models)
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        if tries:
            await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if cfg.quality is not None:
        await _compare(run, cfg, cfg.quality, policy)
    return policy


def as_the_patient(dialogues: Sequence[Experience], tasks: Sequence[Task]) -> list[Experience]:
    """These dialogues, each with the task in which the patient was shown its side; none where there is no such task."""
    sides = {t.canonical: t for t in tasks}
    found = [(e, sides.get(other_side(e.task))) for e in dialogues]
    return [e.model_copy(update={"task": side}) for e, side in found if side is not None]


def course(judged: Sequence[Experience]) -> str:
    """What the consultations came to, in words: diagnoses, questions, and how much of what is typical came up."""
    seen = [e.feedback for e in judged if e.feedback is not None]
    if not seen:
        return "none"
    n = len(seen)
    mean = {k: sum(float(f.evidence.get(k, 0)) for f in seen) / n for k in ("top3", "questions", "coverage")}
    return (
        f"{sum(f.score == 1.0 for f in seen)} of {n} right, {mean['top3']:.1%} among three, {mean['questions']:.1f} "
        f"questions, {mean['coverage']:.1%} covered"
    )


async def _compare(run: Run, cfg: Amie, quality: Pairwise, policy: Policy) -> None:
    """How often a judge prefers the result's consultation to the base's of the same case, asked in both orders."""
    if policy.id == run.base.id or not run.tasks.dev:
        run.note("quality: nothing to compare (a result beside the base, and dev cases, are needed)")
        return
    held = [
        await run.solve(cfg.exam.solve, run.tasks.dev, run.models(p), title="consultations to compare")
        for p in (run.base, policy)
    ]
    judged = await run.judge(quality, [*held[0], *held[1]], run.models(run.base))
    own = [e.feedback for e in judged if e.feedback is not None and e.solution.policy == policy.id]
    wins, ties, losses = (sum(int(f.evidence.get(k, 0)) for f in own) for k in ("wins", "ties", "losses"))
    run.note(f"quality: of {len(own)} consultations beside the base's, {wins} are better, {losses} worse, {ties} ties")


RECIPE = Recipe(
    "amie", "doctor and patient learn by talking to each other, with a critic between", "arXiv 2401.05654", Amie, amie
)
