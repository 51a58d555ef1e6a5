"""What a correction is worth at its price: sealed exams of the policy with it, beside as many tokens of sampling.

    .venv/bin/python bench/corrections.py [--only self_refine,critic] [--model smollm2-135m] [--sealed 200]

Each recipe's procedure, the plain policy, single samples, the majority of k samples (self-consistency) and the best of
k are examined on the same sealed tasks; k is such that the samples write as many tokens as the procedure did. Tokens
that are read are not counted. Prints a Markdown table. On a small model expect the procedures to lose.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

COMMON = ("sizes.train=1", "sizes.gate=1", "sealed_seed=4711", "seed=11")
RECIPES: dict[str, tuple[str, ...]] = {
    "self_refine": ("correct.attempts=2", "correct.feedback_sampling.max_tokens=48"),
    "critic": ("correct.rounds=2",),
    "self_debug": (
        "system=You write Python. Reply with the function only, in a code block.",
        "correct.turns=2",
        "correct.sampling.max_tokens=48",
        "exam.solve.sampling.max_tokens=48",
    ),
}
SUMS = "tasks.families={chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=2}}"
ROWS = {
    "plain": "plain, greedy",
    "procedure": "{recipe}",
    "sampling": "one sample (mean)",
    "self_consistency": "majority of {k}",
    "best_of_k": "best of {k} (an oracle picks)",
}


def points(x: dict[str, float]) -> str:
    """A gain with its interval, in points."""
    return f"{100 * x['value']:+.1f} ({100 * x['low']:+.1f} to {100 * x['high']:+.1f})"


def table(recipe: str, found: dict[str, Any]) -> list[str]:
    """The lines of one recipe. The gain of a line is the procedure's on it, paired by task."""
    gains = {"plain": found["gain"], "self_consistency": found.get("gain_on_self_consistency")}
    lines = []
    for key, words in ROWS.items():
        if key in found:
            r, gain = found[key], gains.get(key)
            interval = f"{100 * r['low']:.1f} to {100 * r['high']:.1f}"
            name = words.format(recipe=recipe, k=found["k"])
            lines.append(
                f"| {name} | {r['score']:.1%} | {interval} | {r['tokens']:.1f} | {points(gain) if gain else ''} |"
            )
    return lines


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(RECIPES))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--sealed", type=int, default=200)
    parser.add_argument("--prefix", default="corrections")
    given = parser.parse_args()
    print("| how | right | 95 % interval | tokens written a task | gain of the correction on it |")
    print("|---|---|---|---|---|", flush=True)
    for recipe in given.only.split(","):
        name = f"{given.prefix}-{recipe}"
        tasks = "tasks=code_basics" if recipe == "self_debug" else SUMS
        sets = (*COMMON, *RECIPES[recipe], tasks, f"model={given.model}", f"sizes.sealed={given.sealed}")
        options = [o for s in sets for o in ("--set", s)]
        call = [sys.executable, "-m", "instar.cli", "run", recipe, "--name", name, "--json", *options]
        done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
        print("\n".join(table(recipe, json.loads(done.stdout)["sealed"]["procedures"][recipe])), flush=True)


if __name__ == "__main__":
    main()
