"""Runs of a recipe on the scripted model, as a user would start them, and as a killer would end them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.recipes.warm import warm

SMALL = (
    "model=scripted", "rounds=2", "sizes.train=30", "sizes.gate=60", "sizes.sealed=60", "train.epochs=1",
    "engine_options.latency=0.002",
)  # fmt: skip


def instar(
    *args: str, runs: Path, check: bool = True, cwd: Path | None = None, dies_at: int | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, forked from one that has imported it; ``dies_at`` is as in ``warm``."""
    settings = {**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(runs.parent / "home"), **env}
    if "PYTHONPATH" in env:  # what a process finds to import is decided when it begins
        done = subprocess.run(
            [sys.executable, "-m", "instar.cli", *args], capture_output=True, text=True, cwd=cwd or runs.parent,
            env=settings, timeout=300,
        )  # fmt: skip
    else:
        done = warm(os.getpid())(args, cwd or runs.parent, settings, 300, dies_at)
    assert not check or done.returncode == 0, done.stderr
    return done


def run(
    runs: Path, name: str, *sets: str, recipe: str = "rest_em", check: bool = True, common: Sequence[str] = SMALL
) -> dict[str, Any]:
    """Start a run and return its summary."""
    options = [o for s in (*common, *sets) for o in ("--set", s)]
    done = instar("run", recipe, "--name", name, "--json", "--quiet", *options, runs=runs, check=check)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr, "code": done.returncode}


def start(
    runs: Path, name: str, *sets: str, recipe: str = "rest_em", common: Sequence[str] = SMALL
) -> subprocess.Popen[bytes]:
    """Start a run in the background, to be killed."""
    options = [o for s in (*common, *sets) for o in ("--set", s)]
    return subprocess.Popen(
        [sys.executable, "-m", "instar.cli", "run", recipe, "--name", name, "--quiet", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=runs.parent,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(runs.parent / "home")},
    )  # fmt: skip


def content(runs: Path, name: str) -> str:
    """The content digest of a run's ledger, which must also verify."""
    done = json.loads(instar("verify", name, "--json", runs=runs).stdout)
    assert done["wrong"] == []
    return str(done["content"])


def wait_until(happens: Callable[[], bool], seconds: float = 60) -> None:
    """Until something is so."""
    limit = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.01)


def wait_for(path: Path, seconds: float = 60) -> None:
    """Until a file is there."""
    wait_until(path.exists, seconds)


def wait_for_work(run: Path, seconds: float = 60) -> None:
    """Until a run has begun a step: its file is there before its tables are."""

    def begun() -> bool:
        try:
            with closing(sqlite3.connect(f"file:{run / 'ledger.db'}?mode=ro", uri=True)) as db:
                return bool(db.execute("select count(*) from steps").fetchone()[0])
        except sqlite3.OperationalError:
            return False

    wait_until(begun, seconds)
