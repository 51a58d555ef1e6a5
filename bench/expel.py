"""What ExpeL and Reflexion are worth on a small model: rows of sealed exams beside their controls.

    python -m bench.expel [expel ...] [--table] [--set KEY=VALUE ...]

Each recipe is a run of its own (``memory-NAME`` in INSTAR_RUNS). It may be killed at any time and started again: a run
that is finished is only read. ``--table`` only reads. Prints Markdown, with 95 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import memory
from bench.tools import processor
from instar.app.storage.paths import runs_folder
from instar.report.summary import summary

_OURS = ["model=smollm2-135m", "engine=native", "audit_with=none", memory.SUMS]
SETS = {
    "expel": [*_OURS, "insights.comparisons=8", "sizes={train = 40, gate = 100, sealed = 100}"],
    "reflexion": [*_OURS, "sizes={train = 40, gate = 60, sealed = 100}"],
}  # fmt: skip
"""The settings of each run, as ``--set`` takes them."""


def rows(folder: Path) -> list[str]:
    """Of base, result and controls: right on the sealed set, and what the result gains on each. Then procedures."""
    found = summary(folder)
    sealed: dict[str, Any] = found["sealed"]
    made = [f"{sealed['n']} sealed tasks", "", "| | right | the result is above it, points |", "|---|---|---|",
            f"| base | {sealed['base']:.1%} | {_points(sealed['gain'], sealed['low'], sealed['high'])} |"]  # fmt: skip
    made += [
        f"| control: {name} | {c['score']:.1%} | {_points(c['evolved_minus_control'], c['low'], c['high'])} |"
        for name, c in sealed["controls"].items()
    ]
    made.append(f"| result | {sealed['final']:.1%} | |")
    for name, p in sealed.get("procedures", {}).items():
        made += ["", f"| {name} | right | tokens a task |", "|---|---|---|"]
        words = {
            "plain": "plain answer", "procedure": name, "sampling": "one sample, on average",
            "self_consistency": f"majority of {p['k']}", "best_of_k": f"best of {p['k']}, an oracle picks",
        }  # fmt: skip
        made += [f"| {words[k]} | {p[k]['score']:.1%} ({p[k]['low']:.1%} to {p[k]['high']:.1%}) | "
                 f"{p[k]['tokens']:.0f} |" for k in words if k in p]  # fmt: skip
    for r in found["rounds"]:
        made += ["", *(f"{m['op']}: {m['words']}" for m in r.get("memory", ()))]
        made += [f"gate: {r['gate']['reason']}"] if r["gate"] else []
    return made


def _points(gain: float, low: float, high: float) -> str:
    return f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print a table of each."""
    parser = argparse.ArgumentParser(prog="python -m bench.expel", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("recipes", nargs="*", default=list(SETS))
    parser.add_argument("--table", action="store_true", help="only read what there is")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    o = parser.parse_args(argv)
    print(processor())
    memory.SETS.update(SETS)
    for recipe in o.recipes:
        folder = runs_folder() / f"memory-{recipe}" if o.table else memory.run(recipe, o.sets)
        print("", recipe, "", *rows(folder), sep="\n")


if __name__ == "__main__":
    main()
