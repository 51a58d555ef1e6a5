"""A run of a bench, known by its name: begun, or gone on with where it is there already; its summary."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from instar.app.storage.paths import began, runs_folder


def instar(*args: str) -> str:
    """One call of the command line: what it prints; its progress is shown as it comes. Where it fails, so does the
    bench, with its exit code: it has said why."""
    done = subprocess.run([sys.executable, "-m", "instar.cli", *args], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def shown(name: str) -> dict[str, Any]:
    """The summary of a run; nothing where it was not begun."""
    if not began(runs_folder() / name):
        return {}
    found: dict[str, Any] = json.loads(instar("show", name, "--json"))
    return found


def finished(name: str, recipe: str, sets: Sequence[str]) -> dict[str, Any]:
    """The summary of a run that ends in this call, or had ended before."""
    status = shown(name).get("status")
    if status is None:
        instar("run", recipe, "--name", name, "--quiet", "--keep-going", *(o for s in sets for o in ("--set", s)))
    elif status != "finished":
        instar("resume", name, "--quiet", "--keep-going")
    return shown(name)
