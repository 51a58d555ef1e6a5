"""How often the sequential gate errs, what it lets through and how many items it asks: simulated, beside the fixed one.

    python -m bench.gate_sequential [--runs 10000] [--out FILE] [--table]

Resumable: a kind of run that FILE (JSON) has is not simulated again. ``--table`` prints what is there as Markdown.
A run is 20 candidates (or 2), the error 0.05 in all; "fixed" is the paired test at the same error in a round on all of
the cap's items, as a normal approximation with its two imaginary items. About 5 minutes of one core for all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.evaluate.betting import e_process

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]
"""(luck, candidates, cap) -> changes of the items of each, in the order in which they are examined."""
ERROR = 0.05
BATCH = 25
MARGIN = 0.15
AT_ONCE = 4_000
"""Candidates held in memory together."""


def flips(gain: float, changed: float = 0.2) -> Draw:
    """One sample an item: a share of the items changes, with this gain in the mean."""

    def draw(rng: np.random.Generator, n: int, cap: int) -> Floats:
        luck = rng.random((n, cap))
        rises, falls = (changed + gain) / 2, (changed - gain) / 2
        return np.where(luck < rises, 1.0, np.where(luck < rises + falls, -1.0, 0.0))

    return draw


def eight_samples(gain: float) -> Draw:
    """Eight samples an item, whose chances differ from item to item."""

    def draw(rng: np.random.Generator, n: int, cap: int) -> Floats:
        p = rng.beta(0.6, 1.4, (n, cap))
        return (rng.binomial(8, np.clip(p + gain, 0, 1)) - rng.binomial(8, p)) / 8

    return draw


def families(shuffled: bool) -> Draw:
    """Two families of equally many items: one gains 30 points, the other loses 30."""

    def draw(rng: np.random.Generator, n: int, cap: int) -> Floats:
        first = np.arange(cap) < cap // 2
        better = rng.permuted(np.tile(first, (n, 1)), axis=1) if shuffled else np.tile(first, (n, 1))
        luck = rng.random((n, cap))
        sign = np.where(better, 1.0, -1.0)
        return np.where(luck < 0.35, sign, np.where(luck < 0.4, -sign, 0.0))

    return draw


def decided(x: Floats, alpha: float, worth: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Who is promoted, and how many items were asked of each, batches whole: as ``SequentialGate`` without guards."""
    cap = x.shape[1]

    def first(capital: Floats) -> NDArray[np.int64]:
        there = capital >= 1 / alpha
        found: NDArray[np.int64] = np.where(there.any(axis=1), there.argmax(axis=1) + 1, 10 * cap)
        return found

    won, lost = first(e_process(x)), first(e_process(-x, -worth))
    ended = np.minimum(np.minimum(won, lost), cap)
    return won < np.minimum(lost, 10 * cap), np.minimum(-(-ended // BATCH) * BATCH, cap)


def fixed(x: Floats, alpha: float) -> NDArray[np.bool_]:
    """Whom the fixed test promotes on all items."""
    n, cap = x.shape
    x = np.column_stack([x, np.ones(n), -np.ones(n)])
    low = x.sum(axis=1) / (cap + 2) - NormalDist().inv_cdf(1 - alpha) * x.std(axis=1) / sqrt(cap + 2)
    passed: NDArray[np.bool_] = low > 0
    return passed


KINDS: dict[str, tuple[tuple[tuple[Draw, int], ...], int, float]] = {
    f"{name}, cap {cap}": (parts, cap, worth)
    for cap in (150, 400)
    for name, parts, worth in (
        ("20 nulls", ((flips(0.0), 20),), 0.0),
        ("20 nulls, half of the items change", ((flips(0.0, 0.5), 20),), 0.0),
        ("20 nulls, worth 0.1", ((flips(0.0), 20),), 0.1),
        ("3 gains of 10, then 17 nulls", ((flips(0.1), 3), (flips(0.0), 17)), 0.0),
        ("3 gains of 20, then 17 nulls", ((flips(0.2, 0.4), 3), (flips(0.0), 17)), 0.0),
        ("20 harmful, -5 points", ((flips(-0.05), 20),), 0.0),
        ("20 harmful, -20 points", ((flips(-0.2, 0.4), 20),), 0.0),
        ("20 nulls of two families, shuffled", ((families(True), 20),), 0.0),
        ("20 nulls of two families, one after the other", ((families(False), 20),), 0.0),
        ("20 nulls of 8 samples", ((eight_samples(0.0), 20),), 0.0),
        ("2 nulls", ((flips(0.0), 2),), 0.0),
        ("2 nulls of 8 samples", ((eight_samples(0.0), 2),), 0.0),
        ("2 gains of 5", ((flips(0.05), 2),), 0.0),
        ("2 gains of 10", ((flips(0.1), 2),), 0.0),
        ("2 gains of 10, worth 0.1", ((flips(0.1), 2),), 0.1),
        ("2 gains of 20", ((flips(0.2, 0.4), 2),), 0.0),
        ("2 gains of 27, as the demo's", ((flips(0.27, 0.33), 2),), 0.0),
        ("2 gains of 10 of 8 samples", ((eight_samples(0.1), 2),), 0.0),
    )
}
"""Name to (what candidate how often in a run, one part after the other), the cap, and the gate's ``worth``."""


def simulated(kind: str, runs: int) -> dict[str, Any]:
    """By part of the runs: the share of runs and of candidates that it promoted, and the items that were asked."""
    parts, cap, worth = KINDS[kind]
    alpha = ERROR / sum(times for _, times in parts)
    rng = np.random.default_rng([20260, list(KINDS).index(kind), runs])
    out = []
    for draw, times in parts:
        passed, asked, fixed_too = [], [], []
        for start in range(0, runs * times, AT_ONCE):
            x = draw(rng, min(AT_ONCE, runs * times - start), cap)
            promoted, items = decided(x, alpha, worth)
            passed.append(promoted)
            asked.append(items)
            fixed_too.append(fixed(x, alpha))
        promoted, items = np.concatenate(passed).reshape(runs, times), np.concatenate(asked)
        normal = np.concatenate(fixed_too).reshape(runs, times)
        out.append(
            {
                "candidates": times, "alpha": alpha, "runs": runs, "any": float(promoted.any(axis=1).mean()),
                "each": float(promoted.mean()), "fixed_any": float(normal.any(axis=1).mean()),
                "fixed_each": float(normal.mean()), "items_mean": float(items.mean()),
                "items_median": float(np.median(items)),
            }
        )  # fmt: skip
    return {"parts": out, "cap": cap}


def guarded(runs: int, cap: int) -> dict[str, Any]:
    """Three abilities: two gain 30 points, the guarded third lost the margin exactly: how often its bet is won."""
    rng = np.random.default_rng([20261, cap, runs])
    won = e_process(flips(-MARGIN, 0.3)(rng, runs, cap // 3), -MARGIN).max(axis=1) >= 2 / ERROR
    still = e_process(flips(0.0, 0.2)(rng, runs, cap // 3), -MARGIN).max(axis=1) >= 2 / ERROR
    return {"lost the margin": float(won.mean()), "changed nothing": float(still.mean()), "items": cap // 3}


def main() -> None:
    """Simulate what is missing; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("bench/rows/gate_sequential.json"))
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    work: dict[str, Callable[[], dict[str, Any]]] = {k: partial(simulated, k, args.runs) for k in KINDS}
    work |= {f"guard, cap {c}": partial(guarded, args.runs, c) for c in (150, 400, 900)}
    for kind, do in work.items():
        if kind not in found and not args.table:
            found[kind] = do()
            args.out.parent.mkdir(parents=True, exist_ok=True)
            new = args.out.with_suffix(".new")
            new.write_text(json.dumps(found, indent=1) + "\n")
            new.replace(args.out)
            print(kind, flush=True)
    print(
        "| candidates of a run | cap | error a round | runs that promote any | of the candidates | items asked: mean, "
        "median | fixed, all items: any | of the candidates |\n|---|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        for i, p in enumerate(found.get(kind, {"parts": ()})["parts"]):
            name = kind.rpartition(", cap")[0] + (
                f" ({'the gains' if i == 0 else 'the nulls'})" if " then " in kind else ""
            )
            print(
                f"| {name} | {found[kind]['cap']} | {p['alpha']:g} | {100 * p['any']:.2f} % | {100 * p['each']:.2f} % "
                f"| {p['items_mean']:.0f}, {p['items_median']:.0f} | {100 * p['fixed_any']:.2f} % | "
                f"{100 * p['fixed_each']:.2f} % |"
            )
    for kind in work:
        if kind.startswith("guard") and kind in found:
            g = found[kind]
            print(
                f"\n{kind}: a guard of {g['items']} items passes {100 * g['lost the margin']:.2f} % of abilities that "
                f"lost {100 * MARGIN:.0f} points and {100 * g['changed nothing']:.1f} % of those that lost none."
            )


if __name__ == "__main__":
    main()
