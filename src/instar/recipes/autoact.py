"""AutoAct: an agent learns from its own right episodes, and becomes three: one plans, one calls tools, one looks back.

Paper: Qiao et al., *AutoAct: Automatic Agent Learning from Scratch for QA via Self-Planning*, arXiv 2401.05268, section
2. From a few examples the model writes questions, chooses tools from a library, and acts; what came out right is split
by role, and each role is trained as an adapter of its own on the same base; the three then act as a group.

Departures, each a setting:
- Few-shots as turns of a chat (``shots``), before and after; the paper synthesises without any and has a larger model.
- By its name alone it writes questions from four of the examples and none of its own (the paper: two and three), of
  which a small model copies the easiest, and asks for a call with the form of its tool (``signatures``).
- The group acts from the first: each turn is learned under the prompt that it was said under, and nothing has to be cut
  out of a text by role.
- Answers are the environment's and not the model's own (``questions``), and so is what is right.
- Reflections are chosen apart, "right" and "wrong" in equal numbers (``true_reflection``); of right episodes alone
  nearly all say "right".
- Tools are named for several questions, and the ``tools`` most named are offered while it learns, with those that the
  few-shots call: without one of these no episode could follow them. The exam offers all.
- A gate decides whether the group takes the place of the base; the paper always takes it.

Ablations: ``split = "one"`` (one adapter for all roles), ``"shuffled"`` (each role learns what another
said); ``solve.reflect = false``;
``right = {op = "score_at_least", minimum = 0.0}`` (no filter); ``lot = true`` (as many tools,
drawn by lot); ``questions = 0`` (the tasks themselves).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from instar.acquire.environments.village import Village
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.solutions.choose_tools import ChooseTools, called, chosen, library_of
from instar.acquire.solutions.group import PLAN, REFLECT, ROLES, TOOL, Group
from instar.acquire.tasks.pose_questions import PoseQuestions
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.objective.asked import Asked
from instar.protocols import Create, Filter, Gate, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.refine.filters.true_reflection import TrueReflection
from instar.run.run import Run
from instar.update.weights.roles_sft import RolesSFT


class AutoAct(Settings):
    """Settings of AutoAct. ``questions`` are written in each round from the round's share of ``sizes.train``, the few
    examples (0: these are the questions); ``tools`` of the library are offered while it learns (0: all)."""

    rounds: int = Field(default=1, ge=1)
    questions: int = Field(default=60, ge=0)
    create: Create = PoseQuestions()
    tools: int = Field(default=3, ge=0)
    choose_tools: ChooseTools = ChooseTools()
    lot: bool = False
    solve: Group = Group(environment=Village())
    judge: Outcome = Outcome(environment=Village())
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (PerTaskCap(at_most=2, prefer="shortest"),)
    reflected: Filter = TrueReflection()
    split: Literal["each", "one", "shuffled"] = "each"
    train: RolesSFT = RolesSFT()
    gate: Gate = PairedGate()
    exam: Eval = Eval(
        solve=Group(
            environment=Village(), samples=1, reopen=1, sampling=Sampling(temperature=0.0, max_tokens=40)
        ),
        judge=Outcome(environment=Village()),
    )  # fmt: skip
    watch: Watch = VitalSigns()


async def autoact(run: Run, cfg: AutoAct) -> Policy:
    """Run AutoAct and return the last promoted policy."""
    policy, seen = run.base, list[Task]()
    kept, said = list[Experience](), list[Experience]()
    for _ in run.rounds(cfg.rounds):
        tasks = await _questions(run, cfg, policy, seen)
        seen += tasks
        tries = await _episodes(run, cfg, policy, tasks)
        before = await run.dev(cfg.exam, policy)
        right = await run.keep((cfg.right, *cfg.keep), tries)
        kept += right
        if cfg.solve.reflect:
            said += await run.keep(cfg.reflected, tries)
        if not kept:
            run.note("no right episode in this round: nothing to train on, the policy stays")
            continue
        candidate = await _differentiated(run, cfg, kept, said)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, right, before, await run.dev(cfg.exam, policy))
    run.evolved()
    return policy


async def _questions(run: Run, cfg: AutoAct, policy: Policy, seen: Sequence[Task]) -> list[Task]:
    """What this round acts on: questions of its own, from the examples."""
    examples = run.train_tasks()
    if not cfg.questions:
        return list(examples)
    objectives = await run.choose(Asked(), [], 0, cfg.questions)
    return await run.create(cfg.create, objectives, examples, [*examples, *seen], run.models(policy))


async def _episodes(run: Run, cfg: AutoAct, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
    """Judged episodes, with the tools that were chosen alone."""
    models, environment = run.models(policy), cfg.solve.environment
    if cfg.tools:
        library = library_of(environment)
        if cfg.lot:
            tools = tuple(random.Random(f"autoact|{run.seed}").sample(list(library), min(cfg.tools, len(library))))
        else:
            named = await run.solve(cfg.choose_tools, run.train_tasks(), models, title="choosing tools")
            tools = chosen(named, library, cfg.tools, called(policy.few_shots, library))
        run.note(f"tools: {', '.join(tools)}")
        environment = environment.model_copy(update={"tools": tools})
    solve = cfg.solve.model_copy(update={"environment": environment})
    judge = cfg.judge.model_copy(update={"environment": environment})
    return await run.judge(judge, await run.solve(solve, tasks, models), models)


async def _differentiated(
    run: Run, cfg: AutoAct, kept: Sequence[Experience], said: Sequence[Experience]
) -> Policy:  # fmt: skip
    """The base with an adapter for each role, or as ``split`` says."""
    policy = run.base
    if cfg.split == "one":
        op = cfg.train.model_copy(update={"role": PLAN, "says": ROLES, "also": (TOOL, REFLECT)})
        return await run.update(op, policy, kept, title="training all roles")
    parts = [(PLAN, kept), (TOOL, kept), *([(REFLECT, said)] if said else [])]
    if cfg.solve.reflect and not said:
        run.note("no two reflections, one true for each word: the reflecting role stays as it is")
    names = [role for role, _ in parts]
    turned = dict(zip(names, [*names[1:], names[0]], strict=True)) if cfg.split == "shuffled" else {}
    rows = dict(parts)
    for role in names:
        of = turned.get(role, role)
        op = cfg.train.model_copy(update={"role": role, "says": (of,) if of != role else ()})
        policy = await run.update(op, policy, rows[of], title=f"training {role}")
    return policy


RECIPE = Recipe(
    "autoact", "a group of roles, each an adapter, from its own right episodes", "arXiv 2401.05268", AutoAct, autoact
)
