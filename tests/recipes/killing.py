"""A run on the scripted model that is killed in the middle, resumed, killed again, and must end as if nothing was."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.recipes.scripted import SMALL, content, instar

SLOW = "engine_options.latency=0.01"
"""So that others are under way when it dies; engine options are no part of what a run is."""


def ends_the_same_when_killed(
    runs: Path, recipe: str, sets: Sequence[str], undisturbed: dict[str, Any], *, at: Sequence[int],
    common: Sequence[str] = SMALL, latency: str = SLOW,
) -> None:  # fmt: skip
    """Kill the run "killed" each time its ledger holds so many solutions; let it end; compare it with "undisturbed"."""
    options = [o for s in (*common, *sets, latency) for o in ("--set", s)]
    commands = [["run", recipe, "--name", "killed", *options], *[["resume", "killed"]] * (len(at) - 1)]
    for command, solutions in zip(commands, at, strict=True):
        code = instar(*command, "--quiet", runs=runs, check=False, dies_at=solutions).returncode
        assert code == -signal.SIGKILL, f"it ended with {code} before its ledger held {solutions} solutions"
    instar("resume", "killed", "--quiet", runs=runs)
    found = json.loads(instar("show", "killed", "--json", runs=runs).stdout)
    assert found["sessions"] == len(at) + 1
    assert found["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")
