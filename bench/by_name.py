"""Every recipe by its name alone on the real model, and the ways to solve that a config can name: does each begin,
sample and end? Small sizes, so this says that they work and nothing of what they gain.

    .venv/bin/python -m bench.by_name [--only rest_em,star] [--seconds 300] [--train 3]

Resumable: what is finished under INSTAR_RUNS is not run again, what was cut off goes on. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from instar.app.storage.paths import runs_folder
from instar.errors import InstarError
from instar.recipes import RECIPES
from instar.report.summary import summary

SMALL = ("rounds=1", "sizes.gate=3", "sizes.sealed=3")
WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "grpo": ("grpo", ("train.prompts=3",)),
    "full_loop": ("full_loop", ("sizes.dev=6", "per_round=3", "sizes.train=6")),
    "self_debug": ("self_debug", ("sizes.train=2", "sizes.gate=2", "sizes.sealed=2")),
    "demo": ("demo", ()),
    "code": ("code", ()),
    "call_tools": ("rest_em", ('solve={op="call_tools", tools=["calculator"], samples=4}',)),
    "use_tools": ("rest_em", ('solve={op="use_tools", samples=4}',)),
    "adaptive": ("rest_em", ('attempt={op="adaptive", most=4, stop_after_right=1}',)),
    "control": ("rest_em", ("control=true",)),
}
"""By the name of the run: what is run, and what is set beside the sizes. A recipe that is not here is run as it is."""


@dataclass(frozen=True)
class Ended:
    """One way as it went: how far its run is, in words; ``code`` is the command's, None where it was cut off."""

    name: str
    code: int | None
    seconds: float
    said: str


def main() -> None:
    """Run what is not finished, one after the other, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join([*RECIPES, *(w for w in WAYS if w not in RECIPES)]))
    parser.add_argument("--seconds", type=float, default=300.0, help="for each; what is cut off goes on next time")
    parser.add_argument("--train", type=int, default=3, help="training tasks")
    given = parser.parse_args()
    print("| run | exit | seconds | how far |\n|---|---|---|---|", flush=True)
    for name in given.only.split(","):
        e = tried(name, given.train, given.seconds)
        print(f"| {e.name} | {'cut off' if e.code is None else e.code} | {e.seconds:.0f} | {e.said} |", flush=True)


def tried(name: str, train: int, seconds: float) -> Ended:
    """One way run or resumed, for so many seconds at most."""
    folder, began = runs_folder() / f"by-name-{name}", time.monotonic()
    if (done := how_far(folder)).startswith("finished"):
        return Ended(name, 0, 0.0, f"{done} (before)")
    target, sets = WAYS.get(name, (name, ()))
    asked = [f"--set={s}" for s in (*SMALL, f"sizes.train={train}", *sets)]
    resumed = (folder / "ledger.db").exists()
    command = ["resume", folder.name] if resumed else ["run", target, "--name", folder.name, *asked]
    log = folder.parent / f"{folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as out:
        try:
            code: int | None = subprocess.run(
                [sys.executable, "-m", "instar.cli", *command], stdout=out, stderr=out, timeout=seconds,
                env={**os.environ, "COLUMNS": "100"}, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = None
    last = "" if code in (0, None) else f"; {' '.join(log.read_text().split())[-200:]}"
    return Ended(name, code, time.monotonic() - began, how_far(folder) + last)


def how_far(folder: Path) -> str:
    """What the ledger says of a run: its status, its answers, what its rounds came to."""
    try:
        found = summary(folder)
    except InstarError as e:
        return e.message
    answers = ", ".join(f"round {r['round']}: {r['solutions']} answers" for r in found["rounds"])
    gates = sum(r["gate"] is not None for r in found["rounds"])
    exam = f", sealed n = {found['sealed']['n']}" if found["sealed"] else ""
    return f"{found['status']}: {answers or 'no round'}, {gates} at the gate{exam}"


if __name__ == "__main__":
    main()
