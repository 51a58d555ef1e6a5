"""What a set of exam outcomes says: accuracy, coverage, votes, parse rate, length, and the best constant answer.

Each measure returns one value an item (a float array of shape ``(items,)``, in the order of the outcomes), because an
interval is made over items: samples of one item are not independent of each other.

Answers are compared as text after ``normalise``; whether an answer is *right* is always the checker's mark, never a
comparison made here. All measures need marks that are right or wrong: an exam accepts no gap (see ``report``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from instar.errors import DataError
from instar.records import Mark, Outcome

FloatArray = NDArray[np.float64]

MAJORITY_SEED = 20240422
EXACT_SUBSETS = 5_000
"""Up to this many subsets of k samples are all counted; above it, ``DRAWN_SUBSETS`` are drawn with a fixed seed."""
DRAWN_SUBSETS = 2_000

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?")


def normalise(answer: str | None) -> str | None:
    """The form under which answers are counted: spaces collapsed, case folded, 3.0 and +03 written 3. Empty is None.

    Works on text alone: an answer is untrusted and may hold a million digits.
    """
    text = " ".join((answer or "").split()).casefold()
    if not text:
        return None
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    sign, whole, part = number[1], number[2].lstrip("0") or "0", (number[3] or "").rstrip("0")
    plain = f"{whole}.{part}" if part else whole
    return f"-{plain}" if sign == "-" and plain != "0" else plain


def mean_at_1(outcomes: Sequence[Outcome]) -> FloatArray:
    """1.0 where an item's first sample is right, else 0.0."""
    return np.array([_right(o)[0] for o in outcomes], dtype=np.float64)


def mean_at_k(outcomes: Sequence[Outcome]) -> FloatArray:
    """The share of right samples, over all k samples of each item."""
    return np.array([np.mean(_right(o)) for o in outcomes], dtype=np.float64)


def pass_at_k(outcomes: Sequence[Outcome], k: int) -> FloatArray:
    """The chance that at least one of k samples is right, unbiased (Chen 2021, arXiv 2107.03374).

    With n samples of which c are right: ``1 - prod(1 - k/i for i in n-c+1..n)``, and 1 where n - c < k.
    Raises DataError if an item has fewer than k samples.
    """
    return np.array([_pass_at_k(len(r), int(sum(r)), k) for r in map(_right, _deep(outcomes, k))], dtype=np.float64)


def maj_at_k(outcomes: Sequence[Outcome], k: int) -> FloatArray:
    """The chance that the most frequent answer among k of the samples is right, over all subsets of size k.

    A sample without an answer does not vote, so it never wins; where none of the k has one the item scores 0. Ties are
    split equally. Samples whose answers normalise alike are one candidate; should the checker have marked them
    differently, the candidate is worth the share of them that is right. Raises DataError if an item has fewer than k.
    """
    chosen: dict[int, FloatArray] = {}
    values = []
    for outcome in _deep(outcomes, k):
        n = len(outcome.marks)
        if n not in chosen:
            chosen[n] = _subsets(n, k)
        values.append(_majority(outcome, chosen[n]))
    return np.array(values, dtype=np.float64)


def parse_rate(outcomes: Sequence[Outcome]) -> FloatArray:
    """The share of samples in which the checker found an answer. A right sample was understood, whether or not its
    checker names an answer; of one that names none it says nothing (``names_answers``)."""
    found = [
        [float(normalise(a) is not None or m is Mark.right) for a, m in zip(o.answers, o.marks, strict=True)]
        for o in outcomes
    ]
    return np.array([np.mean(f) for f in found], dtype=np.float64)


def mean_tokens(outcomes: Sequence[Outcome]) -> FloatArray:
    """Tokens written per sample, the mean for each item."""
    return np.array([np.mean(o.tokens) for o in outcomes], dtype=np.float64)


def best_constant(outcomes: Sequence[Outcome]) -> tuple[str, float] | None:
    """The single answer that would be right most often, and its accuracy over the items whose gold answer is known.

    None if no gold answer is known. Of several equally good answers, the first in alphabetical order.
    """
    golds = Counter(g for g in (normalise(o.gold) for o in outcomes) if g is not None)
    if not golds:
        return None
    answer, count = min(golds.items(), key=lambda pair: (-pair[1], pair[0]))
    return answer, count / golds.total()


def best_constants(outcomes: Sequence[Outcome]) -> dict[str, tuple[str, float]]:
    """``best_constant`` of each ability whose gold answers are known."""
    found = {ability: best_constant(own) for ability, own in by_ability(outcomes).items()}
    return {ability: best for ability, best in found.items() if best is not None}


def constant_hits(outcomes: Sequence[Outcome]) -> FloatArray:
    """1.0 where the best constant answer is the gold answer, else 0.0; items without a gold answer are left out."""
    golds = [g for g in (normalise(o.gold) for o in outcomes) if g is not None]
    best = best_constant(outcomes)
    return np.array([float(best is not None and g == best[0]) for g in golds], dtype=np.float64)


def votes_are_known(outcomes: Sequence[Outcome]) -> bool:
    """False where a right sample carries no answer: its checker names none, so a majority cannot be counted."""
    return all(
        normalise(a) is not None or m is not Mark.right
        for o in outcomes
        for a, m in zip(o.answers, o.marks, strict=True)
    )


def names_answers(outcomes: Sequence[Outcome]) -> bool:
    """False where samples are right and none of all carries an answer: their checker reads none, as an environment."""
    return not any(m is Mark.right for o in outcomes for m in o.marks) or any(
        normalise(a) is not None for o in outcomes for a in o.answers
    )


def by_ability(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each ability, abilities in alphabetical order."""
    groups: dict[str, list[Outcome]] = {a: [] for a in sorted({o.ability for o in outcomes})}
    for outcome in outcomes:
        groups[outcome.ability].append(outcome)
    return groups


def _right(outcome: Outcome) -> list[float]:
    gaps = [m.value for m in outcome.marks if m not in (Mark.right, Mark.wrong)]
    if gaps or not outcome.marks:
        found = f"{len(gaps)} samples marked {sorted(set(gaps))}" if gaps else "no samples"
        raise DataError(
            f"The outcome of task {outcome.task!r} has {found}; a measure needs marks that are right or wrong.",
            "Judge these samples again: counting them as wrong would change what is measured.",
        )
    return [float(m is Mark.right) for m in outcome.marks]


def _deep(outcomes: Sequence[Outcome], k: int) -> Sequence[Outcome]:
    if k < 1:
        raise DataError(f"k is {k}; it must be at least 1.")
    short = [o for o in outcomes if len(o.marks) < k]
    if short:
        raise DataError(
            f"{len(short)} of {len(outcomes)} items have fewer than k = {k} samples"
            f" (task {short[0].task!r} has {len(short[0].marks)}).",
            "Take more samples an item, or a smaller k.",
        )
    return outcomes


def _pass_at_k(n: int, c: int, k: int) -> float:
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def _subsets(n: int, k: int) -> FloatArray:
    """Which samples are in which subset: 0/1 of shape (subsets, n)."""
    if comb(n, k) <= EXACT_SUBSETS:
        rows = np.array(list(combinations(range(n), k)), dtype=np.intp)
    else:
        rng = np.random.default_rng(MAJORITY_SEED)
        rows = np.argsort(rng.random((DRAWN_SUBSETS, n)), axis=1)[:, :k]
    members = np.zeros((len(rows), n), dtype=np.float64)
    np.put_along_axis(members, rows, 1.0, axis=1)
    return members


def _majority(outcome: Outcome, members: FloatArray) -> float:
    answers = [normalise(a) for a in outcome.answers]
    candidates = sorted({a for a in answers if a is not None})
    if not candidates:
        return 0.0
    ballot = np.array([[float(a == c) for c in candidates] for a in answers])  # (n, candidates)
    worth = np.array(_right(outcome)) @ ballot / ballot.sum(axis=0)  # (candidates,)
    votes = members @ ballot  # (subsets, candidates)
    most = votes.max(axis=1, keepdims=True)
    winners = (votes == most) & (most > 0)
    shares = (winners @ worth) / np.maximum(winners.sum(axis=1), 1)
    return float(shares.mean())
