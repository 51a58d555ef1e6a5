"""ExpeL: it gathers experience on training tasks, draws insights from it, and recalls both. No weight is trained.

Paper: Zhao et al., *ExpeL: LLM Agents Are Experiential Learners*, arXiv 2308.10144: tasks are tried with up to three
reflections; insights are drawn from failures beside successes, and from successes of several tasks, by operations on a
list (ADD, EDIT, AGREE, REMOVE); a new task is shown the list and the successes most like it.

A round tries its share of the training tasks, remembers each solved one as an example, has insights drawn from all
tries, and a gate decides whether the policy with that memory takes the old one's place.

Departures, each a setting:
- A task is shown one solved task, as turns of a conversation; the paper shows 2 to 6 (``exam.solve.examples``).
- The policy draws its own insights. The paper's came from GPT-4; those of the model that acted were worth less than
  half as much (HotPotQA: 39 % and 32 %, 28 % without).
- The list is bounded in fact (``insights.most``).
- ``controls``: the examples without insights; one solved task, by lot, for every question; questions with *wrong*
  answers. They are examined beside the result; the base is the control without memory. What the gate refused last is
  examined too, as "refused".
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.advised import Advised
from instar.acquire.solutions.reflexion import Reflexion
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Attempt, Filter, Gate, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Policy, Sampling
from instar.refine.filters.length import Finished
from instar.refine.filters.random_sample import RandomSample
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.memory.insights import Insights
from instar.update.memory.remember import Remember


class Expel(Settings):
    """Settings of ExpeL. An exam must be solved with ``advised``, or what is remembered is never looked at."""

    rounds: int = Field(default=1, ge=1)
    attempt: Attempt = Reflexion()
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(),)
    remember: Remember = Remember()
    insights: Insights = Insights()
    gate: Gate = PairedGate()
    exam: Eval = Eval(
        solve=Advised(inner=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48))), judge=Verify()
    )
    watch: Watch = VitalSigns()
    controls: bool = True


async def expel(run: Run, cfg: Expel) -> Policy:
    """Gather, draw insights, remember, and return the last promoted policy."""
    policy = run.base
    refused: Policy | None = None
    seen: list[Experience] = []
    right: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await run.attempt(cfg.attempt, run.train_tasks(), models, title="gathering experience")
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        seen, right = [*seen, *tries], [*right, *kept]
        candidate = policy
        if kept:
            candidate = await run.update(cfg.remember, candidate, kept, title="remembering what was solved")
        candidate = await run.update(cfg.insights, candidate, tries, models=models, title="drawing insights")
        if candidate.id == policy.id:
            run.note("nothing to remember in this round: the policy stays")
            continue
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        refused = None if policy.id == candidate.id else candidate
        await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
    run.evolved()
    if refused is not None:
        run.controls["refused"] = refused
    if cfg.controls:
        await _controls(run, cfg, seen, right)
    return policy


async def _controls(run: Run, cfg: Expel, seen: list[Experience], right: list[Experience]) -> None:
    """What other memories are worth in the same exam, where there is enough to make them."""
    wrong = cfg.remember.model_copy(update={"marked": "wrong"})
    one = await run.keep(RandomSample(n=1, seed=run.seed), right) if right else []
    for name, op, data in (("examples", cfg.remember, right), ("random", cfg.remember, one), ("wrong", wrong, seen)):
        if data:
            control = await run.update(op, run.base, data, title="a memory to compare with")
            if control.id != run.base.id:
                run.controls[name] = control


RECIPE = Recipe(
    "expel",
    "insights and solved tasks from its own tries, recalled for new ones; nothing is trained",
    "arXiv 2308.10144",
    Expel,
    expel,
)
