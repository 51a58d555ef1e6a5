"""Zero data: the model proposes tasks, a machine finds their keys, and it learns from those that it can just solve.

Zhao et al., *Absolute Zero: Reinforced Self-play Reasoning with Zero Data*, arXiv 2505.03335. No task of the training
set is asked: what is trained on is proposed in the run (``create``), its key computed or found in the sandbox, and kept
where it is new and some answers are right, but not all.

Departures, each a setting:
- The solver learns as in ReST-EM (arXiv 2312.06585): right answers of all rounds so far train the base, and a gate
  decides. The paper trains one model on both roles by policy gradient. Here the proposer is not trained by itself: it
  is the promoted solver, and the tasks with the highest learnability reward are what it is shown next.
- Expressions, or programs of the paper's deduction kind (``create.of``).
- A source whose quality falls is stopped, with the reason on record: the paper's authors saw proposals lose their
  diversity, and trained no further than that.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.tasks.proposer import Proposer
from instar.objective.steady import Steady
from instar.protocols import Choose, Create, Filter
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Policy, Task
from instar.refine.filters.learnable import Learnable, rewards
from instar.run.run import Run


class ProposerSolver(SelfTraining):
    """Settings beside those of ReST-EM: ``made_a_round`` tasks are wanted of ``create`` in each round. ``band`` says
    which of them are learned from; the ``shown`` with the highest reward are sources of the next round."""

    rounds: int = Field(default=3, ge=1)
    made_a_round: int = Field(default=180, ge=1)
    goal: Choose = Steady()
    create: Create = Proposer()
    band: Filter = Learnable()
    shown: int = Field(default=32, ge=0)


async def proposer_solver(run: Run, cfg: ProposerSolver) -> Policy:
    """Propose, solve, learn; return the last promoted policy."""
    policy, seen, sources = run.base, list[Task](), list[Task]()
    data: list[Experience] = []
    first: list[Experience] = []
    for number in run.rounds(cfg.rounds):
        objectives = await run.choose(cfg.goal, [], 0, cfg.made_a_round)
        models = run.models(policy)
        made = await run.create(cfg.create, objectives, sources, seen, models, at_least=number == 1)
        seen += made
        tries = await tries_of(run, cfg, made, models) if made else []
        goes_on = run.appraise(cfg.create, tries).kept
        first = first or tries
        sources = best(made, tries, cfg.shown) or sources
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.band, cfg.right, *cfg.keep), tries) if tries else []
        data += kept
        if kept:
            candidate = await run.update(cfg.train, run.base, data)
            policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
            await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
        else:
            run.note("nothing to learn from in this round: the policy stays")
        if not goes_on:
            break
    run.evolved()
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, first, len(data))
    return policy


def best(made: list[Task], tries: list[Experience], n: int) -> list[Task]:
    """At most ``n`` of these tasks that have a reward, the highest first."""
    worth = rewards(tries)
    ranked = sorted(made, key=lambda t: -worth.get(t.id, 0.0))
    return [t for t in ranked if 0 < worth.get(t.id, 0.0) < 1][:n]


RECIPE = Recipe(
    "proposer_solver",
    "zero data: it proposes tasks, a machine finds their keys, it learns from those it can just solve",
    "arXiv 2505.03335",
    ProposerSolver,
    proposer_solver,
)
