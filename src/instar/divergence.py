"""How far a policy went from the base, in log-probabilities of given texts: a divergence, and a rise of perplexity.

On answers that the base itself wrote, sampled at temperature 1 from all tokens, the mean of log base(x) - log policy(x)
is an unbiased estimate of KL(base || policy): how much is forgotten follows it (RL's Razor, arXiv 2509.04259). On texts
of nobody's it is the log of the ratio of perplexities. Both are taken a token: the sum over all texts by the tokens of
all texts. Intervals are percentile bootstraps over texts, which are what varies, with one fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np

from instar.errors import DataError
from instar.records import Interval, Likelihood, Likely

SEED = 20240422
RESAMPLES = 10_000


def divergence(base: Likelihood, policy: Likelihood, confidence: float = 0.95) -> Interval:
    """KL(base || policy) in nats a token, of answers that the base wrote. An estimate, so it may come out below 0.
    ``n`` texts stand behind it. Raises DataError where the two cannot be compared."""
    if why := why_not_comparable(base, policy):
        raise DataError(why)
    lost = np.array([b.nats - p.nats for b, p in zip(base.texts, policy.texts, strict=True)])
    tokens = np.array([float(t.tokens) for t in base.texts])
    drawn = np.random.default_rng(SEED).integers(0, len(lost), size=(RESAMPLES, len(lost)))
    sums = tokens[drawn].sum(axis=1)
    means = lost[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    value = float(lost.sum() / tokens.sum())
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value), n=len(lost))


def rise(base: Likelihood, policy: Likelihood, confidence: float = 0.95) -> Interval:
    """By how much the perplexity rose, as a share of the base's, paired text by text. Raises as ``divergence``."""
    found = divergence(base, policy, confidence)
    value, low, high = (exp(min(x, 50.0)) - 1 for x in (found.value, found.low, found.high))
    return Interval(value=value, low=low, high=high, n=found.n)


def perplexity(texts: Sequence[Likely]) -> float:
    """Of all texts together: exp of minus the mean log-probability of a token."""
    return exp(min(50.0, -sum(t.nats for t in texts) / max(1, sum(t.tokens for t in texts))))


def why_not_comparable(base: Likelihood, policy: Likelihood) -> str:
    """Why no figure can be had of these two; "" where one can."""
    for what in ("suite", "engine", "precision"):
        if (a := getattr(base, what)) != (b := getattr(policy, what)):
            return f"The two likelihoods are of another {what}: {a} and {b}."
    if [(t.task, t.tokens) for t in base.texts] != [(t.task, t.tokens) for t in policy.texts]:
        return "The two likelihoods are of other texts, or their tokens are counted otherwise."
    if not sum(t.tokens for t in base.texts):
        return "No text of these likelihoods has a token."
    return ""


def in_words(found: Interval, tokens: int) -> str:
    """A divergence as a line says it."""
    return (
        f"{found.value:.4f} nats a token ({found.low:.4f} to {found.high:.4f}; {found.n} answers of the base, "
        f"{tokens:,} tokens)"
    )
