"""Every recipe on the real model with the same sampling budget: sealed gains, against one control, with intervals.

    python -m bench.recipes [--families chain_sum] [--only rest_em,star]

Each recipe may take about SAMPLES samples of training tasks. All are examined on the same sealed tasks (same seed), so
that differences between recipes are paired too. About 4 minutes a recipe on 2 cores with AMX. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.named_run import instar
from instar.evaluate.intervals import paired_bootstrap

SAMPLES = 2880
COMMON = ("sizes.gate=100", "sizes.sealed=300", "sizes.dev=0", "sealed_seed=4711", "seed=11")
# tasks a round x samples a task x rounds = SAMPLES; star asks once, and once more for what it missed
RECIPES: dict[str, tuple[str, ...]] = {
    "rest_em": ("rounds=2", "sizes.train=180", "solve.samples=8", "control=true"),
    "star": ("rounds=2", "sizes.train=800"),
    "rft": ("rounds=1", "sizes.train=180", "solve.samples=16"),
    "self_consistency": ("rounds=1", "sizes.train=180", "solve.samples=16"),
    "full_loop": ("rounds=2", "sizes.train=600", "per_round=150", "sizes.dev=30"),
}
FAMILIES = {
    "chain_sum": "{min_terms=2, max_terms=2, min_digits=1, max_digits=2}",
    "products": "{min_terms=2, max_terms=2, min_digits=1, max_digits=2}",
}


def sealed(name: str, role: str, scratch: Path) -> list[float]:
    """The scores of one role on the sealed items, in the order of the exam."""
    out = scratch / f"{name}.jsonl"
    instar("show", name, "--json", "--outcomes", str(out))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [r["score"] for r in rows if r["suite"] == "sealed" and r["role"] == role]


def row(name: str, found: dict[str, Any], control: list[float], scratch: Path) -> str:
    """One line of the table."""
    x = found["sealed"]
    final = sealed(name, "final", scratch) or sealed(name, "base", scratch)
    gap = paired_bootstrap(control, final) if control else None
    made = sum(r["solutions"] for r in found["rounds"])
    # filters stand in a chain: what the strictest let through is what was trained on
    kept = sum(min(f["kept"] for f in r["filters"].values()) for r in found["rounds"] if r["filters"])
    against = f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})" if gap else ""
    promoted = sum(bool(r["gate"] and r["gate"]["promoted"]) for r in found["rounds"])
    return (
        f"| {found['recipe']} | {x['base']:.1%} | {x['final']:.1%} | {100 * x['gain']:+.1f} "
        f"({100 * x['low']:+.1f} to {100 * x['high']:+.1f}) | {against} | {promoted} of {len(found['rounds'])} | "
        f"{kept}/{made} | {found['asked']['tokens']:,} | {found['evolution_seconds']:.0f} |"
    )


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default="chain_sum,products")
    parser.add_argument("--only", default=",".join(RECIPES))
    parser.add_argument("--prefix", default="cmp")
    given = parser.parse_args()
    families = ", ".join(f"{f}={FAMILIES[f]}" for f in given.families.split(","))
    scratch = Path("runs")
    control: list[float] = []
    lines = []
    for recipe in given.only.split(","):
        name = f"{given.prefix}-{recipe}"
        sets = [o for s in (*COMMON, *RECIPES[recipe], f"tasks.families={{{families}}}") for o in ("--set", s)]
        found = json.loads(instar("run", recipe, "--name", name, "--json", *sets))
        control = control or sealed(name, "control:unverified", scratch)
        lines.append(row(name, found, control, scratch))
        print(lines[-1], flush=True)
    print("\n| recipe | base | final | gain (95 %) | minus control (95 %) | promoted | kept | tokens asked | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
