"""A run on the scripted model that is killed in the middle, resumed, killed again, and must end as if nothing was."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.recipes.scripted import SMALL, content, instar, start

SLOW = "engine_options.latency=0.05"
"""Gives time to kill in; engine options are no part of what a run is."""


def ends_the_same_when_killed(
    runs: Path, recipe: str, sets: Sequence[str], undisturbed: dict[str, Any], *, at: Sequence[int],
    common: Sequence[str] = SMALL, latency: str = SLOW,
) -> None:  # fmt: skip
    """Kill the run "killed" each time its ledger holds so many solutions; let it end; compare it with "undisturbed"."""
    process = start(runs, "killed", *sets, latency, recipe=recipe, common=common)
    for place, solutions in enumerate(at):
        if place:
            process = _resume(runs)
        _wait_for(runs / "killed" / "ledger.db", solutions, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    instar("resume", "killed", "--quiet", runs=runs)
    found = json.loads(instar("show", "killed", "--json", runs=runs).stdout)
    assert found["sessions"] == len(at) + 1
    assert found["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")


def _resume(runs: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "instar.cli", "resume", "killed", "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=runs.parent,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(runs.parent / "home")},
    )  # fmt: skip


def _wait_for(path: Path, n: int, process: subprocess.Popen[bytes]) -> None:
    """Until a ledger holds so many solutions, while its run is alive."""
    while process.poll() is None:
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as raw:
                if raw.execute("select count(*) from records where kind = 'solution'").fetchone()[0] >= n:
                    return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.01)
    raise AssertionError(f"it ended with {process.returncode} before {path} held {n} solutions")
