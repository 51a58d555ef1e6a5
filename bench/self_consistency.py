"""Self-consistency from a policy that is mostly right already: a vote is evidence only for such a one.

    python -m bench.self_consistency            the three runs, one after the other, then the table
    python -m bench.self_consistency --table    the table of what is finished

``right`` is ReST-EM on sums of two numbers, until the model is mostly right on them; ``vote`` goes on from
what it ended with, exported as a folder, by majorities of its own answers alone; ``gold`` goes on by ReST-EM, with as
many answers of the same tasks: what checking would have given. Every candidate is taken (``taken.py``). Runs that are
there are gone on with. Prints Markdown: sealed scores, and how many of the labels were right.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from bench.named_run import finished, instar, shown
from bench.tools import processor
from instar.app.storage.paths import runs_folder
from instar.records import Decision, Feedback, Mark
from instar.store.ledger import Ledger

HERE = Path(__file__).parent
SUMS = "{chain_sum = {min_terms = 2, max_terms = 2, min_digits = 1, max_digits = 2}}"
COMMON = (
    f"tasks.families={SUMS}", f"gate={HERE / 'taken.py'}:Taken", "verifier_stress=off",
    "audit_with=none", "brake=off", "sealed_seed=4711", "sizes.gate=10", "sizes.sealed=200", "sizes.dev=0",
)  # fmt: skip
LATER = ("seed=12", "rounds=1", "sizes.train=120", "solve.samples=16")
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "right": ("rest_em", ("model=smollm2-135m", "seed=11", "rounds=3", "sizes.train=150", "solve.samples=8")),
    "vote": ("self_consistency", LATER),
    "gold": ("rest_em", (*LATER, "keep=['finished', {op = 'per_task_cap', at_most = 4}]")),
}
"""Name to recipe and settings; the last two begin from what the first one ended with."""


def made(name: str) -> None:
    """Begin a run, or go on with it."""
    recipe, own = RUNS[name]
    given = [*COMMON, *own]
    if name != "right":
        folder = runs_folder() / "sc-mostly-right"
        if not folder.exists():
            instar("export", "sc-right", str(folder), "--quiet")
        given.append(f"model={folder}")
    finished(f"sc-{name}", recipe, given)


def labels(name: str) -> tuple[int, int]:
    """Of the answers that a run was trained on, how many a verifier calls right, and how many it marked."""
    with closing(Ledger.read(runs_folder() / f"sc-{name}" / "ledger.db")) as ledger:
        dropped = {d.item for d in (cast(Decision, d) for d in ledger.records("decision")) if not d.kept}
        kept = {d.item for d in (cast(Decision, d) for d in ledger.records("decision")) if d.kept} - dropped
        said = [cast(Feedback, f) for f in ledger.records("feedback")]
    marks = [f.mark for f in said if f.solution in kept and f.source == "verifier"]
    return marks.count(Mark.right), len(marks)


def row(name: str) -> str:
    """One line of the table."""
    x = shown(f"sc-{name}")
    sealed = x["sealed"]
    right, known = labels(name)
    said = f"{right / known:.1%} ({right} of {known})" if known else "not known"
    return (
        f"| {name} ({RUNS[name][0]}) | {sealed['base']:.1%} | {sealed['final']:.1%} | {100 * sealed['gain']:+.1f} "
        f"({100 * sealed['low']:+.1f} to {100 * sealed['high']:+.1f}) | {sealed['n']} | {said} | "
        f"{x['asked']['tokens']:,} | {x['evolution_seconds']:.0f} |"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.self_consistency", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--table", action="store_true")
    o = parser.parse_args(argv)
    if not o.table:
        for name in RUNS:
            made(name)
    print(processor())
    print("| run | before | after | gain (95 %) | n | labels right | tokens asked | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in RUNS:
        if shown(f"sc-{name}").get("status") == "finished":
            print(row(name))


if __name__ == "__main__":
    main()
