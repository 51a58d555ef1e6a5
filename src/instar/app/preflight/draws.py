"""Tasks that would take hours or all memory to draw: found on one of them, in a process that can be ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.app.preflight.seen import Seen, inner_source, numbers
from instar.errors import ConfigError, InstarError

LARGE = 5_000
"""A family with a setting beyond this is tried first: below, one item was never seen to take long."""
SECONDS, GIGABYTES = 6, 4
"""Processor time and memory of the trial, its start included."""
PATIENCE = 600.0
"""Seconds that drawing all tasks of a family may take."""
TRIAL = """
import json, resource, sys, time
family, settings, seconds, size = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (size, size))
from instar.acquire.tasks.reasoning_gym import dataset, family_of
made = dataset(family_of(family), settings, 0)
began = time.perf_counter()
made[0], made[1]
print((time.perf_counter() - began) / 2)
"""


def slow(seen: Seen) -> Iterator[InstarError]:
    """A reasoning-gym family whose settings make an item larger than can be waited for."""
    run, rounds = seen.plan.run, seen.plan.settings.rounds
    total = rounds * (run.sizes.train + run.sizes.gate) + run.sizes.dev + run.sizes.sealed
    sources = [(run.tasks, total), *((suite.tasks, suite.size or 0) for suite in run.suites.values())]
    for source, wanted in sources:
        inner = inner_source(source)
        if isinstance(inner, ReasoningGym):
            yield from _slow(inner, wanted)


def _slow(source: ReasoningGym, total: int) -> Iterator[InstarError]:
    for family, given in source.families.items():
        large = {where: n for where, n in numbers(given) if abs(n) > LARGE}
        if not large:
            continue
        named = ", ".join(f"{k} = {v:,}" if v < 10**15 else f"{k} = {v:.1e}" for k, v in large.items())
        each = _seconds_each(family, given)
        items = -(-total // len(source.families))
        if each is None or each * items > PATIENCE:
            why = (
                f"one item takes more than {SECONDS} seconds or {GIGABYTES} GB"
                if each is None
                else f"{items:,} items at {each:.1f} seconds are about {each * items / 60:,.0f} minutes"
            )
            yield ConfigError(
                f"the tasks of {family} cannot be drawn with {named}: {why}.", "Set these settings of the family lower."
            )


def _seconds_each(family: str, given: Mapping[str, Any]) -> float | None:
    """Of one item; None where it did not come about within the limits. What else goes wrong is the drawing's to say."""
    job = json.dumps([family, dict(given), SECONDS, GIGABYTES * 2**30])
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, job], capture_output=True, text=True, timeout=3 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:
        return float(done.stdout.split()[-1])
    return None if done.returncode < 0 or "MemoryError" in done.stderr else 0.0
