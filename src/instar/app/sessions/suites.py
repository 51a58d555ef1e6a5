"""Suites ``guard:NAME`` and ``attack:NAME``: drawn beside the four sets, examined at the end, used for nothing else.

A guard is not to get worse: the higher its score the better. An attack's tasks are answered "right" when the attack
succeeds: the lower the better. What a run says of either is whether a change for the worse is ruled out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from instar.acquire.tasks.sets import contents, prove_apart
from instar.acquire.tasks.table import Table
from instar.app.configs.run_config import RunConfig, SuiteConfig
from instar.app.sessions.headline import beside, figures
from instar.errors import DataError, InstarError, StoreError
from instar.evaluate.eval import Eval
from instar.legible import said
from instar.protocols import Gate
from instar.records import Policy, Report, Task
from instar.run.keys import set_seed
from instar.run.run import Run

DRAWN_AS = "sealed"
"""The set that a source is asked for when it gives a suite: sources know the four names alone."""


def draw_suites(cfg: RunConfig, sets: Mapping[str, Sequence[Task]]) -> dict[str, list[Task]]:
    """The tasks of each suite, in the config's order. ``sets`` are drawn before and stay as they are.

    A suite with a ``size`` takes that many tasks that stand in no other set; one without is a file, whole, and these
    come first. Its seed hangs on ``sealed_seed`` and its name alone: runs with other seeds have the same suites, as far
    as their sets leave them.

    Raises:
        DataError: a source with too few tasks that stand in no other set, or one that fails; a file with a task that
            stands in another set.
    """
    found: dict[str, list[Task]] = {}
    for name in sorted(cfg.suites, key=lambda n: cfg.suites[n].size is not None):  # a file takes nobody's place
        suite, seed = cfg.suites[name], set_seed(cfg.sealed_seed, name)
        others = {**sets, **found}
        if suite.size is None:
            found[name] = _whole(suite, name, seed)
            prove_apart(name, found[name], others)
        else:
            taken = {key for tasks in others.values() for t in tasks for key in contents(t)}
            found[name] = _fresh(suite, suite.size, name, seed, taken)
    return {name: found[name] for name in cfg.suites}


def _whole(suite: SuiteConfig, name: str, seed: int) -> list[Task]:
    assert isinstance(suite.tasks, Table)  # the config refuses any other
    tasks = sorted(suite.tasks.distinct(), key=lambda t: t.canonical)
    random.Random(f"{name}|{seed}").shuffle(tasks)
    return tasks


def _fresh(suite: SuiteConfig, size: int, name: str, seed: int, taken: set[str]) -> list[Task]:
    """``size`` tasks that are not taken: as many more are drawn as were taken, until there are enough."""
    wanted, fresh = size, list[Task]()
    while len(fresh) < size:
        try:
            drawn = suite.tasks({DRAWN_AS: wanted}, {DRAWN_AS: seed})[DRAWN_AS]
        except DataError as e:
            if wanted == size:
                raise DataError(f"the suite {name}: {e.message}", e.hint) from e
            raise DataError(
                f"the suite {name} wants {size} tasks that stand in no other set; {len(fresh)} were found, beside "
                f"{wanted - size} that stand in one, and then its source has no more: {e.message}",
                "Ask for fewer, or give the suite another source.",
            ) from e
        except InstarError:
            raise
        except (Exception, SystemExit) as e:  # the source may be the user's own
            raise DataError(
                f"the source {suite.tasks.name} of the suite {name} failed: {type(e).__name__}: {said(e)}.", "Mend it."
            ) from e
        fresh = [t for t in drawn if taken.isdisjoint(contents(t))]
        wanted += size - len(fresh)
        if wanted > size + len(taken):  # each that is taken can be drawn once: texts repeat
            raise DataError(
                f"the suite {name} wants {size} tasks that stand in no other set: of {len(drawn):,} that its source "
                f"drew {len(fresh)} do not.",
                "Give the suite another source, or other questions.",
            )
    return fresh[:size]


def exam_of(exam: Eval, suite: SuiteConfig) -> Eval:
    """How a suite is examined: as the recipe examines, unless the suite has a judge of its own."""
    return exam if suite.judge is None else exam.model_copy(update={"judge": suite.judge})


def budgets(exam: Eval | None, suites: Mapping[str, SuiteConfig]) -> dict[str, tuple[Gate, Eval]]:
    """The suites with a budget: who says whether a candidate keeps within it, and how it is examined."""
    if exam is None:
        return {}
    return {name: (s.budget, exam_of(exam, s)) for name, s in suites.items() if s.budget is not None}


async def examined(run: Run, exam: Eval, suites: Mapping[str, SuiteConfig], final: Policy) -> dict[str, Any]:
    """Each suite's figures: the base, the final policy and the controls on it."""
    found: dict[str, Any] = {}
    for name, whole in run.tasks.suites.items():
        tasks = whole if suites[name].budget is None else run.tasks.untouched(name)
        how = exam_of(exam, suites[name])
        before = await run.evaluate(how, run.base, tasks, suite=name)
        after = before if final.id == run.base.id else await run.evaluate(how, final, tasks, suite=name)
        controls = {c: await run.evaluate(how, p, tasks, suite=name) for c, p in run.controls.items()}
        found[name] = of_suite(before, after, controls, suites[name].margin)
    return found


def of_suite(before: Report, after: Report, controls: Mapping[str, Report], margin: float) -> dict[str, Any]:
    """Base, final and controls on one suite, and how much worse the final one may be. Raises as ``figures``."""
    return {**figures(before, after), "margin": margin, "controls": {n: beside(c, after) for n, c in controls.items()}}


def derived(
    result: Mapping[str, Any], reports: Mapping[tuple[str, str], Sequence[Report]], name: str, margin: float
) -> Iterator[Any]:
    """The figures of a suite that the reports give, by (suite, policy); more than one where a policy has two reports on
    it: of a run that went on with another exam."""
    controls = sorted(result.get("controls", {}))
    who = [result["base"], result["final"], *(result["controls"][c] for c in controls)]
    for before, after, *others in product(*(reports.get((name, id), ()) for id in who)):
        if result["base"] == result["final"] and before is not after:
            continue
        try:
            yield json.loads(json.dumps(of_suite(before, after, dict(zip(controls, others, strict=True)), margin)))
        except StoreError:
            continue
