"""The recipes of preferences against ReST-EM on the real model, each from the same budget of samples: sealed gains.

    python -m bench.preferences                        every arm, one after the other, then the table
    python -m bench.preferences --only dpo,rest_em     these
    python -m bench.preferences --table                the table of what is finished

An arm is a run of its own (``pref-ARM``): one that is there is gone on with, so the script can be stopped at any time.
All are examined on the same sealed tasks, so differences between arms are paired. The sums are the demo's. Every
candidate is taken (``taken.py``): what is compared is the training. Prints a Markdown table; the row stands whatever it
says.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench.named_run import finished, instar, shown
from instar.evaluate.intervals import paired_bootstrap

TAKEN = Path(__file__).with_name("taken.py")
FAMILIES = "{chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=2}}"
COMMON = (
    "sizes.train=120", "sizes.gate=20", "sizes.sealed=200", "sizes.dev=0", "sealed_seed=4711", "seed=11", "rounds=1",
    f"tasks.families={FAMILIES}", "verifier_stress=off", "model=smollm2-135m", f"gate={TAKEN}:Taken",
)  # fmt: skip
TRAIN = ("train.learning_rate=2e-5", "train.epochs=2")
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rest_em": ("rest_em", ()),
    "dpo": ("dpo", TRAIN),
    "dpo_sft": ("dpo", (*TRAIN, "train.sft_weight=1.0")),
    # spin answers once a task in each of its two rounds
    "spin": ("spin", (*TRAIN, "sizes.train=480", "rounds=2")),
    # judges of themselves are believed unmeasured, or it would be refused
    "self_rewarding": ("self_rewarding", (*TRAIN, "sizes.train=240", "audit_with=none")),
    "v_star": (
        "v_star",
        ("verifier.learning_rate=2e-5", "verifier.epochs=2", "best_of.samples=16", "sizes.sealed=60"),
    ),
}
"""Arm to recipe and settings: 960 answers to learn from in all, 120 tasks with 8 each unless it says otherwise."""


def made(arm: str) -> dict[str, Any]:
    """The summary of an arm's run, begun or gone on with."""
    recipe, own = ARMS[arm]
    return finished(f"pref-{arm}", recipe, (*COMMON, *own))


def sealed(arm: str) -> list[float]:
    """The scores of what an arm ended with on the sealed tasks, in the exam's order."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.jsonl"
        instar("show", f"pref-{arm}", "--json", "--outcomes", str(out))
        rows = [r for r in map(json.loads, out.read_text().splitlines()) if r["suite"] == "sealed"]
    found = [r["score"] for r in rows if r["role"] == "final"]
    return found or [r["score"] for r in rows if r["role"] == "base"]


def row(arm: str, found: dict[str, Any]) -> str:
    """One line of the table; the difference to ReST-EM is paired by task."""
    x = found["sealed"]
    beside = ""
    rival = sealed("rest_em") if arm != "rest_em" and over("rest_em") else []
    if rival and x["n"] == len(rival):
        gap = paired_bootstrap(rival, sealed(arm))
        beside = f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    return (
        f"| {arm} | {x['base']:.1%} | {x['final']:.1%} | {100 * x['gain']:+.1f} "
        f"({100 * x['low']:+.1f} to {100 * x['high']:+.1f}) | {beside} | "
        f"{found['asked']['tokens']:,} | {found['evolution_seconds']:.0f} |"
    )


def majority(of: dict[str, Any]) -> str:
    """What the majority has for the same tokens, where votes are known."""
    if "self_consistency" not in of:
        return ""
    gap, rival = of["gain_on_self_consistency"], of["self_consistency"]
    return (
        f"; the majority of {of['k']} has {rival['score']:.1%} at {rival['tokens']:.0f}: {100 * gap['value']:+.1f} "
        f"({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})"
    )


def over(arm: str) -> bool:
    """Whether an arm's run is over."""
    return shown(f"pref-{arm}").get("status") == "finished"


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.preferences", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(ARMS))
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    arms = given.only.split(",")
    if unknown := [a for a in arms if a not in ARMS]:
        parser.error(f"there is no arm {', '.join(unknown)}; there are: {', '.join(ARMS)}")
    if not given.table:
        for arm in arms:
            made(arm)
    found = {arm: made(arm) for arm in arms if over(arm)}
    print("| arm | base | final | gain (95 %) | minus rest_em (95 %) | tokens asked | seconds |")
    print("|---|---|---|---|---|---|---|")
    for arm, x in found.items():
        print(row(arm, x))
    for arm, x in found.items():
        for name, of in x["sealed"].get("procedures", {}).items():
            print(f"\n{arm}, {name}, n = {of['n']}: {of['procedure']['score']:.1%} at {of['procedure']['tokens']:.0f} "
                  f"tokens a task{majority(of)}")  # fmt: skip


if __name__ == "__main__":
    main()
