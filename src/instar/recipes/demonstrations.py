"""Demonstrations: its own verified answers as examples before every question, chosen on dev. No weight is trained.

Papers: Kim et al., *Self-Generated In-Context Learning*, arXiv 2206.08082: a model's own answers serve as the
demonstrations that few-shot prompting takes from people. Khattab et al., *DSPy*, arXiv 2310.03714, section 4
(``BootstrapFewShotWithRandomSearch``): keep those that a metric accepts, and choose among sets of them by a search on a
validation set.

A round answers fresh training tasks and draws ``candidates`` of the right answers by lot. Each makes a policy that is
shown it beside what was shown before. All are examined on the first ``first`` dev items, the best ``finalists`` of them
on the whole of dev, and the best of these goes to the gate, if dev says that it adds anything. So a round adds at most
one example, and one that the gate let pass.

Departures, each a setting:
- Every answer is verified; the paper takes the model's word.
- One example a round, one round: on a small model one that is well chosen beats six. DSPy draws sets of up to 16.
- Search by halving instead of all on all of dev; a gate on fresh tasks decides: the best of many on dev is partly luck.
- ``controls``: as many examples by lot instead of chosen (so many such policies), and the chosen questions with *wrong*
  answers. They are examined beside the result and never promoted; the base is the control without any.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.errors import ConfigError
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.evaluate.health import VitalSigns
from instar.protocols import Filter, Gate, Judge, Solve, Watch
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Finish, Mark, Policy, Report, Sampling, Task
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.random_sample import RandomSample
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Run
from instar.update.memory.demonstrate import Demonstrate


class Demonstrations(Settings):
    """Settings of demonstrations. It needs a dev set (``sizes.dev``): that is where examples are chosen."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = Sample(samples=4, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=48))
    judge: Judge = Verify()
    right: Filter = ScoreAtLeast(minimum=1.0)
    keep: tuple[Filter, ...] = (Finished(), Distinct(), PerTaskCap(at_most=1, prefer="shortest"))
    candidates: int = Field(default=12, ge=1)
    first: int = Field(default=40, ge=1)
    finalists: int = Field(default=4, ge=1)
    show: Demonstrate = Demonstrate()
    gate: Gate = PairedGate()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())
    watch: Watch = VitalSigns()
    controls: int = Field(default=1, ge=0)


async def demonstrations(run: Run, cfg: Demonstrations) -> Policy:
    """Add an example a round, if one helps, and return the last promoted policy."""
    if not run.tasks.dev:
        raise ConfigError(
            "demonstrations has no dev set: its examples are chosen on dev.", "For example: --set sizes.dev=120"
        )
    policy = run.base
    shown: list[Experience] = []
    right: list[Experience] = []
    wrong: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        tries = await run.judge(
            cfg.judge, await run.solve(cfg.solve, run.train_tasks(), models, peek=cfg.judge), models
        )
        kept = await run.keep((cfg.right, *cfg.keep), tries)
        right += kept
        wrong += [e for e in tries if _is_wrong(e)]
        before = await run.evaluate(cfg.exam, policy, run.tasks.dev, suite="dev")
        if not kept:
            run.note("no right answer in this round: no example to show, the policy stays")
            continue
        chosen, candidate, after = await _best(run, cfg, policy, kept, before)
        if candidate is not None and chosen is not None:
            promoted = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
            shown += [chosen] if promoted.id == candidate.id else []
            after = after if promoted.id == candidate.id else before  # of what it ended with, not of what was refused
            policy = promoted
        await run.health(cfg.watch, tries, kept, before, after)
    run.evolved()
    if cfg.controls and right:
        await _controls(run, cfg, shown or right[:1], right, wrong)
    return policy


async def _best(
    run: Run, cfg: Demonstrations, policy: Policy, kept: Sequence[Experience], before: Report
) -> tuple[Experience | None, Policy | None, Report]:
    """The example of these that adds most on dev, with its policy and report; (None, None, ``before``) if none does."""
    drawn = await run.keep(RandomSample(n=cfg.candidates, seed=run.seed + run.round), kept)
    dev = _mixed(run.tasks.dev)
    made = [(e, await run.update(cfg.show, policy, [e], title="showing an example")) for e in drawn]
    reports = [await run.evaluate(cfg.exam, p, dev[: cfg.first], suite="dev") for _, p in made]
    order = sorted(range(len(made)), key=lambda i: (-right_of(reports[i]), i))[: cfg.finalists]
    whole = {i: await run.evaluate(cfg.exam, made[i][1], run.tasks.dev, suite="dev") for i in order}
    spread = [right_of(r) for r in reports]
    run.note(
        f"{len(made)} examples on {min(cfg.first, len(dev))} dev items: {min(spread):.1%} to {max(spread):.1%} right; "
        f"the best {len(order)} on {len(dev)}: {', '.join(f'{right_of(whole[i]):.1%}' for i in order)}; "
        f"without: {right_of(before):.1%}"
    )
    best = max(order, key=lambda i: (right_of(whole[i]), -i))
    if right_of(whole[best]) <= right_of(before):
        run.note("no example adds anything on dev: the policy stays")
        return None, None, before
    return made[best][0], made[best][1], whole[best]


best_example = _best
"""The same, for recipes that go on from an example; the recipe's own text, which a resumed run compares, stays."""


def _is_wrong(e: Experience) -> bool:
    """A wrong answer that could be shown: it came to its end, and says something."""
    marked = e.feedback is not None and e.feedback.mark is Mark.wrong
    return marked and e.solution.finish is Finish.stop and bool(e.solution.text.strip())


def right_of(report: Report) -> float:
    """The share of an exam's answers that are right."""
    return sum(o.score for o in report.outcomes) / len(report.outcomes)


def _mixed(tasks: Sequence[Task]) -> list[Task]:
    """These tasks with their abilities in turn, so that the first few are of all of them."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.ability, []).append(task)
    places = {t.id: (i, a) for a, own in enumerate(groups.values()) for i, t in enumerate(own)}
    return sorted(tasks, key=lambda t: places[t.id])


async def _controls(
    run: Run, cfg: Demonstrations, shown: Sequence[Experience], right: Sequence[Experience],
    wrong: Sequence[Experience],
) -> None:  # fmt: skip
    """As many examples by lot, and the questions of those shown with wrong answers (of other tasks where all answers to
    them were right)."""
    title = "showing examples for a control"
    for i in range(cfg.controls):
        by_lot = await run.keep(RandomSample(n=len(shown), seed=run.seed + 1000 + i), right)
        name = "random" if cfg.controls == 1 else f"random{i + 1}"
        run.controls[name] = await run.update(cfg.show, run.base, by_lot, title=title)
    own = {e.task.id: e for e in reversed(wrong)}
    picked = list(dict.fromkeys(own[e.task.id].id for e in shown if e.task.id in own))
    picked += [id for id in dict.fromkeys(e.id for e in own.values()) if id not in picked]
    by_id = {e.id: e for e in wrong}
    if len(picked) < len(shown):
        run.note("the control with wrong examples is left out: there are not enough wrong answers")
        return
    of_wrong = cfg.show.model_copy(update={"marked": "wrong"})
    data = [by_id[id] for id in picked[: len(shown)]]
    run.controls["wrong"] = await run.update(of_wrong, run.base, data, title=title)


RECIPE = Recipe(
    "demonstrations",
    "own verified answers as examples, chosen on dev; nothing is trained",
    "arXiv 2206.08082",
    Demonstrations,
    demonstrations,
)
