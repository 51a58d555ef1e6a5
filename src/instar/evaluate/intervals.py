"""How sure a number is: intervals for one policy, for the difference of two, and what a number of items can show.

Everything is a function of its arguments: resampling uses one fixed seed (``BOOTSTRAP_SEED``) and ``RESAMPLES``
resamples, so the same outcomes give the same interval anywhere. Items are resampled, not samples of an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import sqrt
from statistics import NormalDist

import numpy as np

from instar.errors import DataError
from instar.evaluate.measures import FloatArray
from instar.records import Interval

BOOTSTRAP_SEED = 20240422
RESAMPLES = 10_000
_SAME = 1e-9
"""Two means of samples that differ by less differ by rounding alone."""
_WHOLE: ContextVar[bool] = ContextVar("whole imaginary items", default=False)
_CELLS = 2_000_000
"""Draws held in memory at once (16 MB)."""


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a proportion. It stays inside 0..1 and is honest at 0 of n, where a bootstrap has no width.

    Raises DataError if ``n`` is 0 or ``successes`` is outside 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"{successes} of {n} items is not a proportion.", "An interval needs at least one item.")
    z, p = _z(confidence), successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at p = 0 and p = 1 rounding can put the bound a hair inside the point
    return Interval(value=p, low=max(0.0, min(middle - half, p)), high=min(1.0, max(middle + half, p)), n=n)


def bootstrap_mean(values: Sequence[float] | FloatArray, confidence: float = 0.95) -> Interval:
    """Percentile bootstrap of the mean over items. Has no width where all values are equal: see ``interval_of``.

    Raises DataError if there is no value, or one that is not finite.
    """
    x = _finite(values)
    low, high = _percentiles(x, len(x), confidence)
    value = float(x.mean())
    return Interval(value=value, low=min(low, value), high=max(high, value), n=len(x))


def interval_of(values: Sequence[float] | FloatArray, confidence: float = 0.95, *, share: bool = True) -> Interval:
    """The interval of a mean over items. ``share`` says that the values are shares between 0 and 1.

    Shares that are all 0 or 1 get Wilson's interval. So do shares that are all equal: a bootstrap would have no width,
    and Wilson's is on the safe side (no share with mean p varies more than p(1 - p)). The rest is bootstrapped.
    """
    x = _finite(values)
    if share and (bool(np.all((x == 0) | (x == 1))) or bool(np.all(x == x[0]))):
        return wilson(min(float(x.sum()), float(len(x))), len(x), confidence)
    return bootstrap_mean(x, confidence)


def paired_bootstrap(
    before: Sequence[float] | FloatArray, after: Sequence[float] | FloatArray, confidence: float = 0.95
) -> Interval:
    """The mean of ``after - before`` over the same items (scores in 0..1), with a paired percentile bootstrap.

    Two imaginary items are resampled along, one that rose and one that fell (the pseudo-counts of Agresti and Min 2005
    for paired proportions). A plain bootstrap has no width when no item changed, or when all three of three items rose,
    and a gate would believe it. With one sample an item they rise and fall by 1. Where an item's score is a mean of
    many samples, whole items moved by 1 are not what is seen, and would cost most of the power: there they rise and
    fall by about what changed items do (``imaginary_size``), around the mean that was seen.

    Measured (``python -m bench.gate_power``, docs/log/2026-11-27-gate-power.md): a policy that is no better passes a
    gate at 95 % in 0.0 to 2.5 % of 3,000 exams (2.9 % in one of 80 kinds; each is sure to 0.3), for 12 to 150 items and
    1 to 32 samples, also where its items truly differ; a true gain of 5 points on 40 items of 8 samples passes in 31 %
    ("whole": 9 %, no imaginary items: 40 %, but then a useless one passes in 3.1 %). Not covered: a policy that loses a
    few items wholly, none of which is in the exam, and wins a little on all others.

    ``value`` is the plain mean. With one sample an item, improving an item never lowers either bound.

    Raises DataError if the lengths differ, nothing is there, or a value is not finite or outside 0..1.
    """
    a, b = _finite(before), _finite(after)
    if a.shape != b.shape:
        raise DataError(f"{len(a)} values before and {len(b)} after cannot be paired.", "Score the same items twice.")
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        raise DataError("A paired difference needs scores between 0 and 1.")
    change = b - a
    value = float(change.mean())
    size = 1.0 if _WHOLE.get() else imaginary_size(change)
    middle = (1 - size) * value  # at size 1 their mean is 0
    low, high = _percentiles(np.concatenate([change, [middle + size, middle - size]]), len(change) + 2, confidence)
    return Interval(value=value, low=min(low, value), high=max(high, value), n=len(change))


@contextmanager
def whole_imaginary_items() -> Iterator[None]:
    """Inside, imaginary items move by 1 whatever the real ones do, as they did up to 2026-11: for who derives again
    what was decided then, and for nobody else."""
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def imaginary_size(change: FloatArray) -> float:
    """By how much the two imaginary items move: 1 where every item that changed did so wholly, or none did.

    Its square is the mean squared change of the items that changed, one whole change counted with them, and besides
    four times the mean squared change of all items: what makes the interval as wide as Student's t on few items.
    """
    squares = float(np.sum(change**2))
    changed = int(np.sum(np.abs(change) > _SAME))
    return sqrt(min(1.0, (squares + 1) / (changed + 1) + 4 * squares / len(change)))


def mcnemar_p(rose: int, fell: int) -> float:
    """Exact two-sided p of McNemar's test: how odd this split of the changed items is if each were a coin's toss."""
    if rose < 0 or fell < 0:
        raise DataError(f"{rose} risen and {fell} fallen items are not counts.")
    changed = rose + fell
    tail = ways = 1
    for i in range(min(rose, fell)):
        ways = ways * (changed - i) // (i + 1)
        tail += ways
    all_ways: int = 2**changed
    return min(1.0, 2 * tail / all_ways)


def smallest_detectable(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true change of the mean that ``n`` paired items show with this power, as a fraction.

    ``discordance`` is the share of items whose outcome changes (for scores between 0 and 1, the mean squared change).
    From ``n ~ (z_alpha/2 + z_power)^2 * discordance / d^2`` (methods.md 5.2: 2 points at 10 % needs 1,960 items). A
    change of d cannot come with less discordance than d, so few or no changed items do not make it 0. At most 1.
    """
    if n < 1 or not 0 <= discordance <= 1:
        raise DataError(f"n = {n} items with a discordance of {discordance} cannot show anything.", "n must be > 0.")
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return min(1.0, max(z * sqrt(discordance / n), z * z / n))


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise DataError(f"A confidence of {confidence} is not between 0 and 1.", "Write 0.95 for 95 %.")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _finite(values: Sequence[float] | FloatArray) -> FloatArray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x):
        raise DataError(
            f"Values of shape {x.shape} have no interval.", "Give one value an item, for at least one item."
        )
    if not np.isfinite(x).all():
        raise DataError(f"{int((~np.isfinite(x)).sum())} of {len(x)} values are not finite numbers.")
    return x


def _percentiles(x: FloatArray, draws: int, confidence: float) -> tuple[float, float]:
    """Both ends of the bootstrap distribution of the mean. The draws depend on len(x) alone, never on the values."""
    _z(confidence)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    block = max(1, _CELLS // draws)
    means = [
        x[rng.integers(0, len(x), size=(min(block, RESAMPLES - start), draws))].mean(axis=1)
        for start in range(0, RESAMPLES, block)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
