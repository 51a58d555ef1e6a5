"""The arithmetic of merging: several tensors of one shape into one, in pieces, so that no more than a piece is held.

Each rule is given a way to go through the pieces of one tensor of all parents, as often as it needs: a first time for
what hangs on the whole tensor (an angle, the size of its largest changes), a last time to say the result. Sums are made
in float64. Written by hand: mergekit is LGPL and takes whole tensors of all parents; the same numbers as its 0.1.5 to
1e-6 are a test (tests/update/fixtures/merging.json).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Method = Literal["linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock"]
AROUND_A_BASE: frozenset[Method] = frozenset(
    {"slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock"}
)
"""Methods that need the policy that the others were made from."""
STRAIGHT = 0.9995
"""From this cosine on two tensors are as good as parallel, and SLERP is a straight line (methods.md 3.3)."""


class Piece(NamedTuple):
    """The same stretch of one tensor: of the base, if there is one, and of each of the others. float32, [n] each."""

    base: Array | None
    others: Sequence[Array]


Pieces = Callable[[], Iterable[Piece]]
"""Goes through one tensor from its beginning to its end."""


class Rule(NamedTuple):
    """How tensors are merged; the fields are Merge's. ``weights``: one for each of the others, in their order."""

    method: Method
    weights: Sequence[float]
    scale: float = 1.0
    density: float = 0.2
    seed: int = 0


def merged(rule: Rule, tensor: str, size: int, pieces: Pieces) -> Iterator[Array]:
    """The merged tensor, piece by piece, float32. ``size``: how many numbers it has; its name decides what DARE
    drops."""
    if rule.method == "linear":
        total = math.fsum(rule.weights)
        return _summed([w / total for w in rule.weights], pieces)
    if rule.method == "slerp":
        return _slerp(rule.weights[0], pieces)
    if rule.method == "model_stock":
        return _model_stock(len(rule.weights), pieces)
    if rule.method in ("ties", "dare_ties"):
        return _ties(rule, tensor, size, pieces)
    return _task_arithmetic(rule, tensor, pieces)


def _summed(weights: Sequence[float], pieces: Pieces) -> Iterator[Array]:
    for piece in pieces():
        out = np.zeros(len(piece.others[0]))
        for weight, values in zip(weights, piece.others, strict=True):
            out += weight * values.astype(np.float64)
        yield out.astype(np.float32)


def _task_arithmetic(rule: Rule, tensor: str, pieces: Pieces) -> Iterator[Array]:
    """``base + scale * sum of w * (other - base)`` (arXiv:2212.04089); ``dare_linear`` drops entries of the changes
    first (arXiv:2311.03099, equation 3)."""
    dropping = _dropping(rule, tensor) if rule.method == "dare_linear" else _nothing
    for base, deltas in _deltas(pieces):
        change = sum(w * dropping(d, i) for i, (w, d) in enumerate(zip(rule.weights, deltas, strict=True)))
        yield (base + rule.scale * change).astype(np.float32)


def _ties(rule: Rule, tensor: str, size: int, pieces: Pieces) -> Iterator[Array]:
    """Trim, elect sign, merge the agreeing entries (arXiv:2306.01708, section 3): signs are elected after weighting,
    and the sum is over the weights that agree, as in mergekit."""
    if rule.method == "dare_ties":
        dropping = _dropping(rule, tensor)
    else:
        dropping = _trimming([_largest(i, rule.density, size, pieces) for i in range(len(rule.weights))])
    for base, deltas in _deltas(pieces):
        kept = [w * dropping(d, i) for i, (w, d) in enumerate(zip(rule.weights, deltas, strict=True))]
        up = sum(kept) >= 0
        change, agreeing = np.zeros(len(base)), np.zeros(len(base))
        for weight, delta in zip(rule.weights, kept, strict=True):
            agrees = np.where(up, delta > 0, delta < 0)
            change += np.where(agrees, delta, 0.0)
            agreeing += np.where(agrees, weight, 0.0)
        agreeing[agreeing == 0] = 1.0
        yield (base + rule.scale * change / agreeing).astype(np.float32)


class _Largest(NamedTuple):
    """The entries of a change that are kept: all above ``least`` in size, and the first ``equal`` of that size."""

    least: float
    equal: int


def _largest(place: int, density: float, size: int, pieces: Pieces) -> _Largest:
    """The share ``density`` of the entries of the ``place``-th change that are largest in size; one at least."""
    if density >= 1 or not size:
        return _Largest(-1.0, 0)
    count = max(1, int(density * size))
    sizes, at = np.empty(size, np.float32), 0
    for piece in pieces():
        assert piece.base is not None
        sizes[at : at + len(piece.base)] = np.abs(piece.others[place] - piece.base)
        at += len(piece.base)
    sizes.partition(size - count)
    least = float(sizes[size - count])
    return _Largest(least, count - int((sizes[size - count :] > least).sum()))


def _trimming(largest: Sequence[_Largest]) -> Callable[[Array, int], Array]:
    """Sets the other entries to 0. Pieces must come in order: of equally large ones the first are kept."""
    left = [x.equal for x in largest]

    def trimmed(delta: Array, place: int) -> Array:
        sizes, least = np.abs(delta.astype(np.float32)), np.float32(largest[place].least)
        keep = sizes > least
        (equal,) = np.nonzero(sizes == least)
        keep[equal[: left[place]]] = True
        left[place] -= min(left[place], len(equal))
        return np.where(keep, delta, 0.0)

    return trimmed


def _dropping(rule: Rule, tensor: str) -> Callable[[Array, int], Array]:
    """Keeps each entry with the chance ``density``, and makes what is kept as much larger (DARE)."""
    drawn = [np.random.default_rng([rule.seed, i, *tensor.encode()]) for i in range(len(rule.weights))]

    def dropped(delta: Array, place: int) -> Array:
        return np.where(drawn[place].random(len(delta)) < rule.density, delta / rule.density, 0.0)

    return dropped


def _nothing(delta: Array, place: int) -> Array:
    return delta


def _slerp(weight: float, pieces: Pieces) -> Iterator[Array]:
    """Along the arc from the base (0) to the other (1); a straight line where they are nearly parallel."""
    a = b = dot = 0.0
    for piece in pieces():
        x, y = _pair(piece)
        a, b, dot = a + float(x @ x), b + float(y @ y), dot + float(x @ y)
    norms = [n if n > 1e-8 else 1.0 for n in (math.sqrt(a), math.sqrt(b))]
    cosine = max(-1.0, min(1.0, dot / (norms[0] * norms[1])))
    if abs(cosine) > STRAIGHT:
        of_base, of_other = 1 - weight, weight
    else:
        angle = math.acos(cosine)
        of_base, of_other = (math.sin(t * angle) / math.sin(angle) for t in (1 - weight, weight))
    for piece in pieces():
        x, y = _pair(piece)
        yield (of_base * x + of_other * y).astype(np.float32)


def _pair(piece: Piece) -> tuple[Array, Array]:
    assert piece.base is not None
    return piece.base.astype(np.float64), piece.others[0].astype(np.float64)


def _model_stock(count: int, pieces: Pieces) -> Iterator[Array]:
    """Between the base and the mean of the others, by the angle between their changes (arXiv:2403.19522, section 4):
    ``t = N cos / (1 + (N - 1) cos)``, a tensor at a time."""
    products = np.zeros((count, count))
    for _, deltas in _deltas(pieces):
        rows = np.stack(deltas)
        products += rows @ rows.T
    cosines = [
        max(-1.0, min(1.0, products[i, j] / max(math.sqrt(products[i, i] * products[j, j]), 1e-6)))
        for i, j in combinations(range(count), 2)
    ]
    cosine = sum(cosines) / len(cosines)
    below = 1 + (count - 1) * cosine
    share = count * cosine / below if abs(below) >= 1e-6 else 0.0  # opposite changes: the base
    for base, deltas in _deltas(pieces):
        yield (base + share * sum(deltas) / count).astype(np.float32)


def _deltas(pieces: Pieces) -> Iterator[tuple[Array, list[Array]]]:
    """The base, and what each of the others changed, in float64."""
    for piece in pieces():
        assert piece.base is not None
        base = piece.base.astype(np.float64)
        yield base, [values.astype(np.float64) - base for values in piece.others]
