"""A small model learns to use a calculator from four shots: how often it calls, and is right, before and after.

    python -m bench.tools [rest_em grpo ...] [--tasks angles] [--train 40] [--gate 100] [--samples 8]

Each recipe is a run of its own (``tools-NAME`` in INSTAR_RUNS) of ``call_tools`` on the small model, with four shots as
chat turns (``SHOTS``, ``ANGLES``); the exam is the gate's: base and candidate on the same fresh tasks, greedily, with
the calculator. It may be killed at any time and started again: runs that are finished are only read. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from bench.named_run import instar
from instar.app.storage.paths import runs_folder
from instar.records import Policy, Report, Solution, TurnKind
from instar.store.ledger import Ledger

PRODUCT = "Solve the following multiplication: {}. Give only the result as your final answer."
SUM = "State the final answer to the following arithmetic problem: {} ="
SHOTS = [(PRODUCT, "23 * 45", "1035"), (SUM, "64 + 18", "82"), (PRODUCT, "7 * 86", "602"), (SUM, "39 - 51", "-12")]
"""Shorter than the tasks, and one of the two kinds is asked in other words: with shots like the tasks this model is
right in 46 of 48 answers before it has learned anything."""


ANGLES = [
    ("A convex polygon has 3 sides. The measures of the first 2 interior angles are: 50.0°, 61.0°. Find the measure of "
     "the last interior angle.", "180 - (50 + 61)", "69"),
    ("Given a convex polygon with 4 sides, its first 3 interior angles are: 90.0°, 72.0°, 113.0°. What is the measure "
     "of the remaining interior angle (in degrees)?", "360 - (90 + 72 + 113)", "85"),
    ("Consider a convex 3-gon whose first 2 interior angles are: 44.0°, 97.0°. Determine the measure of the remaining "
     "angle.", "180 - (44 + 97)", "39"),
    ("A convex polygon has 4 sides. The measures of the first 3 interior angles are: 31.0°, 118.0°, 25.0°. Find the "
     "measure of the last interior angle.", "360 - (31 + 118 + 25)", "186"),
]  # fmt: skip
"""What to write into the calculator is not copied here: it has to be chosen by the number of sides. With these shots
the model writes 180 for both (56 % of 16 dev tasks right), though it was shown 360."""
ENDING = "Return only the angle as your answer.Do not give the units in your answer."
"""Of reasoning-gym, without a blank."""


def shot(question: str, expression: str, result: str) -> dict[str, Any]:
    """One question, the call, what the calculator said, the answer."""
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "calls": [{"name": "calculator", "arguments": {"expression": expression}}]},
            {"role": "tool", "content": result},
            {"role": "assistant", "content": f"Answer: {result}"},
        ]
    }


def sets(recipe: str, tasks: str, train: int, gate: int, samples: int) -> list[str]:
    """The settings of a run, as ``--set`` takes them."""
    solver = '{{op = "call_tools", tools = ["calculator"], tell = false, turns = 3, samples = {}, sampling = {}}}'
    cool = "{temperature = 0.0, max_tokens = 40}"
    sums = 'min_terms = 3, max_terms = 4, min_digits = 1, max_digits = 2, operators = ["+", "-", "*"]'
    products = "min_terms = 2, max_terms = 3, min_digits = 2, max_digits = 3"
    families, shots = {
        "arithmetic": (
            f"basic_arithmetic = {{{sums}}}, products = {{{products}}}", [(q.format(e), e, r) for q, e, r in SHOTS]
        ),
        "angles": ("simple_geometry = {max_sides = 4}", [(q + ENDING, e, r) for q, e, r in ANGLES]),
    }[tasks]  # fmt: skip
    warm, own = {
        "rest_em": ("{temperature = 0.7, top_k = 40, max_tokens = 40}", []),  # the paper's
        "grpo": (
            "{temperature = 1.0, max_tokens = 40}",
            [f"train.prompts={max(4, train // 6)}", "train.learning_rate=1e-5"],
        ),
    }[recipe]
    return [
        "rounds=1", "model=smollm2-135m", "engine=native", "audit_with=none",
        "train.tokens_at_once=2048",  # what the shots take is then computed once for a dozen rows, not once a row
        f"sizes={{train = {train}, gate = {gate}, sealed = 8}}",
        f'tasks={{op = "reasoning_gym", families = {{{families}}}}}',
        f"shots={toml([shot(*s) for s in shots])}",
        f"solve={solver.format(samples, warm)}",
        f"exam.solve={solver.format(1, cool)}",
        *own,
    ]  # fmt: skip


def toml(value: Any) -> str:
    """Plain data as an inline value of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def figures(folder: Path) -> list[tuple[str, int, float, float]]:
    """Of base and candidate in the gate's exam: who, items, share of answers with a call, share right."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        solutions = cast(list[Solution], list(ledger.records("solution")))
        reports = [r for r in cast(list[Report], list(ledger.records("report"))) if r.exam.suite != "sealed"]
        base = cast(list[Policy], list(ledger.records("policy")))[0].id
    found = []
    for r in reports:
        tasks = {o.task for o in r.outcomes}
        mine = [s for s in solutions if s.policy == r.policy and s.task in tasks and s.sampling.temperature == 0]
        called = sum(any(t.kind is TurnKind.tool_call for t in s.turns) for s in mine)
        right = sum(o.score for o in r.outcomes) / len(r.outcomes)
        found.append(("before" if r.policy == base else "after", len(mine), called / max(1, len(mine)), right))
    return sorted(found, reverse=True)


def run(recipe: str, tasks: str, train: int, gate: int, samples: int) -> Path:
    """Begin the run, or go on with it; nothing where it is finished."""
    folder = runs_folder() / f"tools-{recipe}"
    if (folder / "ledger.db").exists():
        with closing(Ledger.read(folder / "ledger.db")) as ledger:
            if "result" in ledger.about():
                return folder
        command = ["resume", folder.name, "--quiet"]
    else:
        options = [o for s in sets(recipe, tasks, train, gate, samples) for o in ("--set", s)]
        command = ["run", recipe, "--name", folder.name, "--quiet", *options]
    instar(*command)
    return folder


def processor() -> str:
    """What it was measured on, in a line."""
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{named[0].partition(':')[2].strip() if named else 'unknown'}, {len(os.sched_getaffinity(0))} cores"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.tools", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("recipes", nargs="*", default=["rest_em", "grpo"])
    parser.add_argument("--tasks", choices=["arithmetic", "angles"], default="angles")
    parser.add_argument("--train", type=int, default=40)
    parser.add_argument("--gate", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    o = parser.parse_args(argv)
    lines = ["| recipe | | answers | call | right |", "|---|---|---|---|---|"]
    for recipe in o.recipes:
        folder = run(recipe, o.tasks, o.train, o.gate, o.samples)
        lines += [f"| {recipe} | {who} | {n} | {call:.1%} | {right:.1%} |" for who, n, call, right in figures(folder)]
    print(processor(), *lines, sep="\n")


if __name__ == "__main__":
    main()
