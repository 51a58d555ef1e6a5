"""Tests that may be looked at after every item: an e-process for a mean, and the interval that goes with it.

Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting* (JRSS B 2024, arXiv 2010.09686):
sections 3.1 (capital processes), 4.2 (bets of approximate growth-rate optimality, ``mean / (variance + mean^2)`` of the
past, cut off at half of what could be lost) and 4.3 (the interval is what no bet refuted). By Ville's inequality the
capital of a bet on a true null reaches ``1 / alpha`` at *any* time with a probability of at most ``alpha``, so
who looks after every item and stops when it is there errs no more often than that.

Everything is a function of its arguments; the last axis is time, and what a bet is made of is the past alone.
"""

from __future__ import annotations

import numpy as np

from instar.errors import DataError
from instar.evaluate.measures import FloatArray

MOST = 0.5
"""The share of its capital that a bet may lose on one item (the paper's truncation c)."""
VARIANCE = 0.25
"""The variance that is believed before the first item, as much as one item is."""
STEP = 0.005
"""Between two means that the interval tries."""


def e_process(changes: FloatArray, null: float = 0.0) -> FloatArray:
    """The capital after each item of a bet that the mean of ``changes`` is above ``null``; it begins with 1.

    Args:
        changes: differences of scores, each in -1..1; shape (..., items).
        null: the mean that the bet is against, in -1..1 and below 1.

    Returns: an array of that shape.

    Raises DataError if a change is not in -1..1 or not a number, or if ``null`` cannot be exceeded.
    """
    x = np.asarray(changes, dtype=np.float64)
    if not x.shape or not x.shape[-1] or not np.isfinite(x).all() or np.abs(x).max() > 1:
        raise DataError("A bet needs changes between -1 and 1, and at least one.", "Hand it differences of scores.")
    if not -1 <= null < 1:
        raise DataError(f"No change is above {null:g}: there is nothing to bet on.", "Give a null in -1..1, below 1.")
    return _capital(x, np.float64(null))


def _capital(x: FloatArray, null: FloatArray | np.float64) -> FloatArray:
    return np.asarray(np.cumprod(1 + bets(x, null) * (x - null), axis=-1), dtype=np.float64)


def bets(x: FloatArray, null: FloatArray | np.float64 | float) -> FloatArray:
    """What is put on each item, from those before it alone: ``mean / (variance + mean^2)``, none if that is negative,
    and at most what loses ``MOST`` of the capital on the worst item. One imaginary item at the null is in the mean."""
    items = x.shape[-1]
    seen = np.arange(items, dtype=np.float64)  # before each item
    total = _before(x)
    mean = total / np.maximum(seen, 1)
    squares = _before(x * x)
    variance = (VARIANCE + np.maximum(squares - seen * mean * mean, 0.0)) / (seen + 1)
    above = (total - seen * null) / (seen + 1)
    found: FloatArray = np.clip(above / (variance + above * above), 0.0, MOST / np.maximum(1 + null, 1e-9))
    return found


def confidence_sequence(changes: FloatArray, alpha: float) -> tuple[float, float]:
    """The ends of the interval that holds the mean of ``changes`` (shape (items,)) with probability ``1 - 2 * alpha``
    at whatever item one stops; -1 and 1 without any. Its lower end is at or above a null exactly where the bet against
    that null came to ``1 / alpha`` at some item (nulls are tried in steps of half a point)."""
    x = np.asarray(changes, dtype=np.float64)
    if not x.size:
        return -1.0, 1.0
    return _refuted(x, alpha), -_refuted(-x, alpha)


def _refuted(x: FloatArray, alpha: float) -> float:
    """The largest mean that is refuted with all below it."""
    steps = round(1 / STEP)
    nulls = np.arange(-steps + 1, steps) / steps
    there = _capital(x, nulls[:, None]).max(axis=1) >= 1 / alpha
    refuted = len(nulls) if there.all() else int(np.argmin(there))
    return float(nulls[refuted - 1]) if refuted else -1.0


def _before(x: FloatArray) -> FloatArray:
    """The sum of what comes before each item."""
    found: FloatArray = np.cumsum(x, axis=-1) - x
    return found
