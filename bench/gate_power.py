"""What a gate lets pass: useless policies and better ones, simulated, by the imaginary items of its interval.

    python -m bench.gate_power [--exams 3000]

"scaled" is ``intervals.paired_bootstrap`` as it is, "whole" as it was, "none" the plain bootstrap, "t" Student's.
A useless policy (gain 0, and a drop of the whole margin for a guard) may pass in 2.5 % of exams. About 4 minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from instar.evaluate import intervals

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[Floats, Floats]]
RESAMPLES = 4000
TAIL = 0.025
MARGIN = 0.15


def _hetero(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    p = rng.uniform(0.2, 0.8, shape)
    return p, p + rng.choice([-0.2, 0.2], shape)


def _shifted(a: float, b: float, by: float) -> Draw:
    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        p = rng.beta(a, b, shape)
        return p, np.clip(p + by, 0, 1)

    return draw


def _rare(share: float, before: float, after: float) -> Draw:
    """A share of the items falls wholly, all others rise a little: no gain in all."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        falls = rng.random(shape) < share
        rise = share * (before - after) / (1 - share)
        return np.full(shape, before), np.where(falls, after, before + rise)

    return draw


def _alike(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    p = (rng.random(shape) < 0.5).astype(float)
    return p, np.where(rng.random(shape) < 0.03, 1 - p, p)


def _drop(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    p = rng.uniform(0.3, 0.9, shape)
    return p, p - MARGIN


KINDS: dict[str, tuple[Draw, float]] = {
    "no gain": (_shifted(0.6, 1.4, 0), 0.0),
    "no gain, few ever right": (_shifted(0.2, 4, 0), 0.0),
    "no gain, items all or nothing": (_shifted(0.1, 0.2, 0), 0.0),
    "no gain, items truly move by 20 points": (_hetero, 0.0),
    "no gain, samples alike, 3 % of items flip": (_alike, 0.0),
    "no gain, 10 % of items fall by 50 points": (_rare(0.10, 0.6, 0.1), 0.0),
    "no gain, 2 % of items fall by 80 points": (_rare(0.02, 0.85, 0.05), 0.0),
    "a drop of the margin, guarded": (_drop, -MARGIN),
    "+5 points": (_shifted(0.6, 1.4, 0.05), 0.0),
    "+10 points": (_shifted(0.6, 1.4, 0.10), 0.0),
}


def _low(changes: Floats, sizes: Floats | None) -> Floats:
    """Lower bounds of many exams at once, as ``paired_bootstrap`` has them (``sizes`` None: no imaginary items)."""
    x = changes
    if sizes is not None:
        middle = (1 - sizes) * changes.mean(axis=1)
        x = np.column_stack([changes, middle + sizes, middle - sizes])
    n = x.shape[1]
    rng = np.random.default_rng(intervals.BOOTSTRAP_SEED)
    weights = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES)]) / n
    return np.quantile(x @ weights.T, TAIL, axis=1)


def passed(kind: str, n: int, k: int, exams: int, seed: int = 1) -> dict[str, float]:
    """The share of exams that pass, by the imaginary items of their interval."""
    draw, bar = KINDS[kind]
    rng = np.random.default_rng([seed, n, k, list(KINDS).index(kind)])
    p, q = draw(rng, (exams, n))
    x = rng.binomial(k, q) / k - rng.binomial(k, p) / k
    t = x.mean(axis=1) - stats.t.ppf(1 - TAIL, n - 1) * x.std(axis=1, ddof=1) / sqrt(n)
    lows = {
        "scaled": _low(x, np.array([intervals.imaginary_size(row) for row in x])),
        "whole": _low(x, np.ones(exams)),
        "none": _low(x, None),
        "t": t,
    }
    return {name: float(np.mean(low > bar)) for name, low in lows.items()}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--exams", type=int, default=3000)
    exams = parser.parse_args().exams
    print("| what is examined | items | samples | scaled | whole | none | t |\n|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for n in (12, 40, 60, 150):
            for k in (1, 2, 8, 32):
                said = passed(kind, n, k, exams)
                print(
                    f"| {kind} | {n} | {k} | " + " | ".join(f"{100 * v:.1f} %" for v in said.values()) + " |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
