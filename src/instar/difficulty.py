"""How hard tasks are and how able policies are, from who got what right: the Rasch model (1PL) and the 2PL.

Rasch 1960; Birnbaum in Lord & Novick 1968, chapter 17: a policy of ability t is right on a task of difficulty b with
the chance 1 / (1 + exp(-a (t - b))), both in logits; a, the task's slope, is 1 in the Rasch model. What is fitted is
the maximum of the posterior, by Fisher scoring; errors are of its normal approximation there.

Written here and not taken: py-irt brings torch, pyro and a sampler for what is a Newton step in numpy. Its use is
choosing what to learn from, and reading a dev set. Gates and sealed exams stay random and paired: an item that was
chosen because of what policies did to it tells of the choice, and no interval of it holds (``tests/laws``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from instar.errors import DataError

SPREAD_OF_ABILITY = 1.0
"""Standard deviation of the prior of abilities, around 0: it fixes where the scale begins and how wide it is."""
SPREAD_OF_DIFFICULTY = 2.0
"""Around the mean of the difficulties, which is free: a set that is hard as a whole is not pulled to 0."""
SPREAD_OF_SLOPE = 0.5
"""Of the logarithm of a slope, around 0: with few policies a slope is hardly told, and stays near 1."""
_ROUNDS = 500
_CLOSE = 1e-6
_Array = np.ndarray[Any, np.dtype[np.float64]]


class Counted(NamedTuple):
    """How often a policy was right on a task, in so many tries."""

    policy: str
    task: str
    right: int
    tries: int


class Estimate(NamedTuple):
    """A figure with its standard error, in logits (a slope has no unit)."""

    value: float
    error: float


@dataclass(frozen=True)
class Fit:
    """What was fitted. ``tries``: of all policies together, by task."""

    model: Literal["rasch", "2pl"]
    ability: dict[str, Estimate]
    difficulty: dict[str, Estimate]
    slope: dict[str, Estimate] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    def chance(self, policy: str, task: str) -> float:
        """How likely this policy is right on this task."""
        slope = self.slope[task].value if self.slope else 1.0
        return chance(self.ability[policy].value, self.difficulty[task].value, slope)


def chance(ability: float, difficulty: float, slope: float = 1.0) -> float:
    """How likely a policy of this ability is right on a task of this difficulty."""
    x = slope * (ability - difficulty)
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def fit(counts: Iterable[Counted], model: Literal["rasch", "2pl"] = "rasch") -> Fit:
    """Abilities of the policies and difficulties of the tasks, in the order in which they first come.

    P policies and T tasks take O(P^2 T) for a step, and P x T numbers of memory. Counts of the same policy and task
    are added up. Raises DataError for no tries, and for more right answers than tries.
    """
    cells = [c for c in counts if c.tries]
    if not cells:
        raise DataError("There is nothing to fit: no policy tried a task.", "Give answers that were marked.")
    if odd := [c for c in cells if not 0 <= c.right <= c.tries]:
        raise DataError(f"{odd[0].policy} is right {odd[0].right} times in {odd[0].tries} tries on {odd[0].task}.")
    policies = {p: i for i, p in enumerate(dict.fromkeys(c.policy for c in cells))}
    tasks = {t: i for i, t in enumerate(dict.fromkeys(c.task for c in cells))}
    right, tries = np.zeros((len(policies), len(tasks))), np.zeros((len(policies), len(tasks)))
    for c in cells:
        right[policies[c.policy], tasks[c.task]] += c.right
        tries[policies[c.policy], tasks[c.task]] += c.tries
    theta, items = np.zeros(len(policies)), np.zeros((len(tasks), 2))  # of an item: difficulty, log slope
    sloped = model == "2pl"
    for _ in range(_ROUNDS):
        by_policy, by_item, _, _ = _step(theta, items, right, tries, sloped)
        height, share = _height(theta, items, right, tries), 1.0
        while share > 1e-4 and _height(theta + share * by_policy, items + share * by_item, right, tries) < height:
            share /= 2  # half the step until it leads up
        theta, items = theta + share * by_policy, items + share * by_item
        # one shift of all changes no chance; of all shifts the priors like best the one that has the abilities around 0
        items[:, 0] -= theta.mean()
        theta -= theta.mean()
        if max(np.abs(by_policy).max(), np.abs(by_item).max()) < _CLOSE:
            break
    _, _, of_policy, of_item = _step(theta, items, right, tries, sloped)
    slopes = np.exp(items[:, 1])
    return Fit(
        model,
        {p: Estimate(float(theta[i]), float(of_policy[i])) for p, i in policies.items()},
        {t: Estimate(float(items[j, 0]), float(of_item[j, 0])) for t, j in tasks.items()},
        {t: Estimate(float(slopes[j]), float(slopes[j] * of_item[j, 1])) for t, j in tasks.items()} if sloped else {},
        {t: int(tries[:, j].sum()) for t, j in tasks.items()},
    )


def _height(theta: _Array, items: _Array, right: _Array, tries: _Array) -> float:
    """The logarithm of the posterior, up to a constant."""
    x = np.exp(items[:, 1]) * (theta[:, None] - items[:, 0])
    seen = (right * x - tries * np.logaddexp(0, x)).sum()
    prior = (theta**2).sum() / SPREAD_OF_ABILITY**2 + (_off(items) ** 2 / _spreads() ** 2).sum()
    return float(seen - prior / 2)


def _spreads() -> _Array:
    return np.array([SPREAD_OF_DIFFICULTY, SPREAD_OF_SLOPE])


def _off(items: _Array) -> _Array:
    """How far items lie from the middle of their priors."""
    off = items.copy()
    off[:, 0] -= items[:, 0].mean()
    return off


def _step(
    theta: _Array, items: _Array, right: _Array, tries: _Array, sloped: bool
) -> tuple[_Array, _Array, _Array, _Array]:
    """A step of Fisher scoring for policies (P) and items (T, 2), and the standard errors of both where it begins.

    Tasks do not touch each other in the information, so they are eliminated one by one and a P x P system is left.
    """
    slope = np.exp(items[:, 1])
    away = theta[:, None] - items[:, 0]
    p = 1 / (1 + np.exp(-np.clip(slope * away, -500, 500)))
    left, weight = right - tries * p, tries * p * (1 - p)
    by = np.stack([np.broadcast_to(-slope, p.shape), slope * away * sloped], axis=-1)  # d logit / d item: P, T, 2
    up_policy = (left * slope).sum(1) - theta / SPREAD_OF_ABILITY**2
    up_item = np.einsum("pt,ptk->tk", left, by) - _off(items) / _spreads() ** 2
    up_item[:, 1] *= sloped
    inside = np.einsum("pt,ptk,ptl->tkl", weight, by, by) + np.diag(1 / _spreads() ** 2)
    across = (weight * slope)[:, :, None] * by  # P, T, 2
    solved = np.linalg.inv(inside)
    over = np.einsum("ptk,tkl->ptl", across, solved)
    whole = np.diag((weight * slope**2).sum(1) + 1 / SPREAD_OF_ABILITY**2) - np.einsum("ptk,qtk->pq", over, across)
    inverse = np.linalg.inv(whole)
    by_policy = inverse @ (up_policy - np.einsum("ptk,tk->p", over, up_item))
    by_item = np.einsum("tkl,tl->tk", solved, up_item - np.einsum("ptk,p->tk", across, by_policy))
    spread = np.einsum("tkk->tk", solved) + np.einsum("ptk,pq,qtk->tk", over, inverse, over)
    return by_policy, by_item, np.sqrt(np.diag(inverse)), np.sqrt(spread)
