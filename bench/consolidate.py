"""What an example gives, put into the weights: the example alone, training alone, and both one after the other.

    python -m bench.consolidate [--few] [--set KEY=VALUE ...] [--table]

Two runs of the real model on sums of two numbers (``consolidate`` and ``rest_em``, in INSTAR_RUNS), with the same sets:
their sealed tasks are the same, so rows of both are compared in pairs. With ``--few`` they ask 2 answers a task and
round instead of 8, so that right ones are scarce, which is what an example is for; ``rest_em`` has a round more then,
and as many answers in all. Each may be killed at any time and started
again; what is finished is only read. ``--table`` prints what there is and runs nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from bench.memory import SUMS, points
from bench.named_run import instar
from bench.tools import processor
from instar.app.storage.paths import runs_folder
from instar.app.weights.policies import roles
from instar.evaluate.compare import compare
from instar.records import Report, Task
from instar.store.ledger import Ledger

SETS = ["model=smollm2-135m", "engine=native", "audit_with=none", SUMS]
MANY = [*SETS, "sizes={train = 120, dev = 120, gate = 120, sealed = 300}"]
FEW = [*SETS, "sizes={train = 120, dev = 100, gate = 120, sealed = 400}", "seed=6"]
RUNS = {
    "consolidate": {
        "consolidate": [*MANY, "candidates=10", "finalists=3"],
        "rest_em": [*MANY, "rounds=3", "control=false"],
    },
    "few": {
        "consolidate": [*FEW, "candidates=6", "finalists=2", "sample.samples=2"],
        "rest_em": [*FEW, "rounds=4", "control=false", "solve.samples=2"],
    },
}
"""The settings of each run, as ``--set`` takes them: the same sets, as many answers in all (the first round of
``consolidate`` asks 4 a task)."""
ROWS = (
    ("consolidate", "base", "base"),
    ("consolidate", "control:demonstrations", "demonstrations alone (no weight trained)"),
    ("rest_em", "final", "rest_em alone (no example)"),
    ("consolidate", "final", "consolidate"),
    ("consolidate", "control:without", "consolidate, without the example"),
    ("consolidate", "control:with", "consolidate, with the example again"),
)


def folder_of(recipe: str, regime: str = "consolidate") -> Path:
    return runs_folder() / f"{regime}-{recipe}"


def run(recipe: str, more: Sequence[str], regime: str = "consolidate") -> None:
    """Begin the run, or go on with it; nothing where it is finished."""
    folder = folder_of(recipe, regime)
    if (folder / "ledger.db").exists():
        if finished(folder):
            return
        command = ["resume", folder.name, "--quiet"]
    else:
        options = [o for s in (*RUNS[regime][recipe], *more) for o in ("--set", s)]
        command = ["run", recipe, "--name", folder.name, "--quiet", *options]
    instar(*command)


def finished(folder: Path) -> bool:
    """Whether the run is over."""
    if not (folder / "ledger.db").exists():
        return False
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return "result" in ledger.about()


def sealed(recipe: str, regime: str = "consolidate") -> dict[str, Report]:
    """The sealed report of each role that a finished run has, its items known by what they ask: the runs' sets are the
    same, and their ids are not where one has more rounds."""
    if not finished(folder_of(recipe, regime)):
        return {}
    with closing(Ledger.read(folder_of(recipe, regime) / "ledger.db")) as ledger:
        who = roles(ledger.about())
        asked = {t.id: cast(Task, t).canonical for t in ledger.records("task")}
        reports = [_known_by(cast(Report, r), asked) for r in ledger.records("report")]
    of = {r.policy: r for r in reports if r.exam.suite == "sealed"}
    return {role: of[id] for role, id in who.items() if id in of}


def _known_by(report: Report, asked: Mapping[str, str]) -> Report:
    outcomes = tuple(o.model_copy(update={"task": asked[o.task]}) for o in report.outcomes)
    exam = report.exam.model_copy(update={"items": "by what they ask"})
    return report.model_copy(update={"outcomes": outcomes, "exam": exam})


def table(regime: str = "consolidate") -> Iterator[str]:
    """A row for each of ``ROWS`` that was measured, beside the base and beside ``consolidate``; then what is kept
    without the example."""
    found = {recipe: sealed(recipe, regime) for recipe in RUNS[regime]}
    own = found["consolidate"]
    yield "| | right | above the base, points | consolidate above it, points |"
    yield "|---|---|---|---|"
    for recipe, role, title in ROWS:
        report = found[recipe].get(role)
        if report is None:
            continue
        score = report.metrics["mean@1"]
        cells = [f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"]
        cells += [_gain(own["base"], report) if "base" in own and role != "base" else ""]
        cells += [_gain(report, own["final"]) if "final" in own and (recipe, role) != ("consolidate", "final") else ""]
        yield f"| {title} | {' | '.join(cells)} |"
    alone = own.get("control:without") or (own.get("final") if "control:with" in own else None)
    beside = own.get("control:with") or own.get("final")
    if alone is not None and beside is not None:
        base, plain, best = (r.metrics["mean@1"].value for r in (own["base"], alone, beside))
        kept = f"{(plain - base) / (best - base):.0%}" if best > base else "no gain to keep"
        yield f"\nWithout the example the weights keep of the gain: {kept} (n = {len(alone.outcomes)})."


def _gain(before: Report, after: Report) -> str:
    found = compare(before, after)
    return f"{points(found.gain)} ({points(found.low)} to {points(found.high)})"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.consolidate", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--few", action="store_const", const="few", default="consolidate", dest="regime")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--table", action="store_true")
    o = parser.parse_args(argv)
    if not o.table:
        for recipe in RUNS[o.regime]:
            run(recipe, o.sets, o.regime)
    print(processor(), *table(o.regime), sep="\n")


if __name__ == "__main__":
    main()
