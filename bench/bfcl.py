"""Calls of functions, before and after: BFCL's tasks of one function and one call, by the rules of its own checker.

    python -m bench.bfcl                         both recipes, one after the other, then the table
    python -m bench.bfcl --only demonstrations   its own right answers as examples: no weight is trained
    python -m bench.bfcl --set engine=openvino   on a processor without AVX-512
    python -m bench.bfcl --table                 the table of what is finished

``rest_em`` trains on its own right calls, ``demonstrations`` shows one of them before every question. Both are shown
one call of a made-up function first, as chat turns, in exams as in training: without it the 135M model had 0 of 200
answers right. 400 tasks are all there are: the sets are small. Runs that are there are gone on with. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from bench.named_run import finished, shown
from bench.tools import processor
from instar.acquire.tasks.bfcl import ASKS

COMMON = (
    "model=smollm2-135m", "engine=native", "seed=31", "sealed_seed=4716", "tasks.op=bfcl", "rounds=1",
    "judge.checker=function_call", "exam.judge.checker=function_call", "solve.sampling.max_tokens=48",
    "exam.solve.sampling.max_tokens=48", "sizes.sealed=200", "sizes.gate=60", "verifier_stress=off", "brake=off",
)  # fmt: skip
SHOT = (
    "How tall is the oak in the yard in feet?",
    {
        "name": "tree_height", "description": "",
        "parameters": {
            "type": "dict", "required": ["tree"],
            "properties": {
                "tree": {"type": "string", "description": "Which tree."},
                "unit": {"type": "string", "description": "Of length. Default is 'm'."},
            },
        },
    },
    "[tree_height(tree='oak', unit='feet')]",
)  # fmt: skip
"""A question of a function that BFCL does not have: what is asked, the function, the call."""


def shots() -> str:
    """The call as ``shots`` of a config."""
    question, function, call = SHOT
    asked = ASKS.format(question=question, functions=json.dumps(function))
    return f"{{question={json.dumps(asked)}, answer={json.dumps(call)}}}"


RUNS: dict[str, tuple[str, ...]] = {
    "demonstrations": ("sizes.train=50", "sizes.dev=60", "candidates=6", "first=20", "finalists=2"),
    "rest_em": ("sizes.train=140", "sizes.dev=0", "solve.samples=8"),
}
"""Recipe to its settings."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.bfcl", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help="these recipes, by commas", default=",".join(RUNS))
    parser.add_argument("--set", action="append", default=[], help="a setting for all runs, such as engine=openvino")
    parser.add_argument("--table", action="store_true", help="the table of what is finished, nothing is run")
    o = parser.parse_args(argv)
    wrong = [r for r in o.only.split(",") if r not in RUNS]
    if wrong:
        parser.error(f"there is no row {wrong[0]!r}: {', '.join(RUNS)}")
    if not o.table:
        for recipe in o.only.split(","):
            finished(f"bfcl-{recipe}", recipe, (*COMMON, *RUNS[recipe], f"shots=[{shots()}]", *o.set))
    print(processor())
    print("| run | before | after | gain (95 %) | n | best constant | promoted | tokens asked | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for recipe in RUNS:
        x = shown(f"bfcl-{recipe}")
        if x.get("status") != "finished":
            continue
        s = x["sealed"]
        constant = "" if s.get("best_constant") is None else f"{s['best_constant']:.1%}"
        promoted = sum(bool(r["gate"] and r["gate"]["promoted"]) for r in x["rounds"])
        print(
            f"| {recipe} | {s['base']:.1%} | {s['final']:.1%} | {100 * s['gain']:+.1f} ({100 * s['low']:+.1f} to "
            f"{100 * s['high']:+.1f}) | {s['n']} | {constant} | {promoted} "
            f"| {x['asked']['tokens']:,} | {x['evolution_seconds']:.0f} |"
        )


if __name__ == "__main__":
    main()
