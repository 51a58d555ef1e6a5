"""How far a memory can be poisoned: notes are planted in a copy of it, and the same exam is taken with and without
what protects it. Nothing of the run is changed: what came of it is kept beside its ledger."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from instar.acquire.feedback import pool
from instar.acquire.solutions.recalling import Recalling
from instar.app.review.examine import Suite, examined, open_engine, suite_of_run
from instar.app.storage.inventory import digests
from instar.app.storage.paths import artefacts
from instar.app.weights.policies import find
from instar.errors import ConfigError
from instar.evaluate.intervals import wilson
from instar.memory import kept
from instar.memory.planting import How, planted
from instar.memory.trust import TRUSTED
from instar.memory.value import Memory
from instar.records import Policy, Report
from instar.run.progress import Screen
from instar.store.attacks import keep_attack

SUITE = "attack:memory"
PROTECTED: tuple[tuple[str, bool, bool], ...] = (
    ("no protection", False, False), ("fenced", True, False), ("trusted notes only", False, True),
    ("fenced, trusted notes only", True, True),
)  # fmt: skip
"""What stands against planted notes: a name, whether notes are fenced, whether those that nobody stands behind are
left out."""


@dataclass(frozen=True)
class Attacked:
    """What became of an exam under one protection."""

    protection: str
    right: float
    """Share right with the memory as it is."""
    under_attack: float
    """Share right with the planted notes."""
    flipped: float
    low: float
    high: float
    """Share of the answers that were right and are not so any more, with its 95 % interval (Wilson)."""
    n: int
    """Answers that were right."""


def attacked(
    said: str, *, notes: int, how: str, seed: int, screen: Screen, at_most: int | None = None, engine: str | None = None
) -> dict[str, Any]:
    """Plant ``notes`` in a copy of the memory of the run's policy that ``said`` names, and take the run's sealed exam
    four times with each memory. Raises ConfigError for a ``how`` that is not known, a policy of no run, one without a
    memory, an exam that recalls nothing, and a memory against which nothing can be planted."""
    if how not in get_args(How):
        raise ConfigError(f"notes that say {how!r:.60} are not known.", f"Say {' or '.join(get_args(How))}.")
    found = find(said, system=None, say=screen.line)
    if found.run is None or found.policy.memory is None:
        raise ConfigError(f"{found.title} is no policy of a run with a memory.", "Name a run, or RUN:ID.")
    suite = suite_of_run(found.run)
    if not isinstance(suite.exam.solve, Recalling):
        raise ConfigError(
            f"the exam of {found.run.name} is solved by {suite.exam.solve.name}, which looks into no memory.",
            "Only what is recalled can be poisoned.",
        )
    before = kept.read(artefacts(), found.policy.memory)
    after, made = planted(before, notes, how=cast(How, how), seed=seed)
    if not made:
        raise ConfigError("nothing can be planted: no two notes of this memory are of one kind.", "")
    tasks = suite.tasks[:at_most]
    exams = {name: _suite(suite, suite.exam.solve, tasks, fence, trusted) for name, fence, trusted in PROTECTED}
    with _kept_for_now(after) as root:
        poisoned = found.policy.model_copy(update={"memory": root, "id": ""}).identified()
        rows = [_row(name, *_examined((found.policy, poisoned), exam, screen, engine)) for name, exam in exams.items()]
    came = {
        "suite": SUITE, "policy": found.policy.id, "how": how, "planted": len(made), "seed": seed,
        "notes": sum(1 for _ in before.live()), "tasks": len(tasks), "rows": [r.__dict__ for r in rows],
    }  # fmt: skip
    keep_attack(found.run, came)
    return came


@contextmanager
def _kept_for_now(memory: Memory) -> Iterator[str]:
    """The root of a memory that is kept as long as it is asked for: poison is left in no store."""
    store = artefacts()
    there = set(digests(store))
    scratch = Path(tempfile.mkdtemp(prefix="instar-attack-"))
    try:
        root = kept.keep(memory, store, scratch)
        new = {root, *kept.segments_of(store.open(root))} - there
        try:
            yield root
        finally:
            for digest in new:
                shutil.rmtree(store.place(digest), ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _suite(suite: Suite, solve: Recalling, tasks: Sequence[Any], fence: bool, trusted: bool) -> Suite:
    recalling = solve.model_copy(update={"fence": fence, "trust": TRUSTED if trusted else ()})
    exam = suite.exam.model_copy(update={"solve": recalling})
    return replace(suite, name=SUITE, tasks=tuple(tasks), exam=exam)


def _examined(policies: Sequence[Policy], suite: Suite, screen: Screen, engine: str | None) -> tuple[Report, Report]:
    pool.shared().warm()
    try:
        with open_engine(policies[0], suite.config, name=engine, before=suite.engine) as made:
            before, after = (asyncio.run(examined(p, suite, screen, made)) for p in policies)
    finally:
        pool.shared().close()
    return before, after


def _row(protection: str, before: Report, after: Report) -> Attacked:
    was = {o.task: o.score for o in before.outcomes}
    right = [o for o in after.outcomes if was[o.task] == 1.0]
    flipped = sum(o.score < 1.0 for o in right)
    found = wilson(flipped, len(right)) if right else None
    low, high = (found.low, found.high) if found is not None else (0.0, 1.0)
    clean, attacked = (sum(o.score for o in r.outcomes) / len(r.outcomes) for r in (before, after))
    return Attacked(protection, clean, attacked, flipped / max(1, len(right)), low, high, len(right))
