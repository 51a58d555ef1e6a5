"""Figures of a set of sampled answers: score, votes, variety of texts and answers, length. Formulas: methods.md 4.1.

Texts are split at white space and cut off at a length: they are untrusted, and a measure must not be made slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np

from instar.evaluate.measures import normalise
from instar.records import Experience, Mark, Vitals
from instar.similarity import pieces

WINDOW = 100
"""Words of one window of distinct-n: it falls with the size of a text, so only equal sizes can be compared."""
BLOCK = 16
"""Answers compared with each other for the Vendi score, for the same reason; they are consecutive, so that as many are
of one task in a small set as in a large one."""
BLOCKS = 8
"""Blocks looked at, evenly spaced over all."""
LONGEST = 2_000
"""Characters of an answer that are looked at."""


def vitals(tries: Sequence[Experience]) -> Vitals:
    """The figures of these answers; what cannot be known of them is None."""
    if not tries:
        return Vitals(n=0)
    scored = [e.feedback.mark is Mark.right for e in tries
              if e.feedback and e.feedback.mark in (Mark.right, Mark.wrong)]  # fmt: skip
    named = [normalise(e.feedback.answer) is not None for e in tries if e.feedback]
    right = [e.feedback.mark is Mark.right for e in tries if e.feedback]
    read = (
        [n or r for n, r in zip(named, right, strict=True)] if any(named) or not any(right) else []
    )  # or: it reads none
    texts = [e.solution.text[:LONGEST] for e in tries]
    lengths = [e.solution.tokens for e in tries]
    margin, accuracy, entropy = votes(tries)
    return Vitals(
        n=len(tries),
        tasks=len({e.task.id for e in tries}),
        score=sum(scored) / len(scored) if scored else None,
        parse_rate=sum(read) / len(read) if read else None,
        vote_margin=margin,
        vote_accuracy=accuracy,
        answer_entropy=entropy,
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        vendi=vendi(texts),
        length_mean=float(np.mean(lengths)),
        length_p95=float(np.percentile(lengths, 95)),
    )


def votes(tries: Sequence[Experience]) -> tuple[float | None, float | None, float | None]:
    """Means over tasks with two or more answers: share of the first answer minus that of the second; whether the first
    is right (None where the marks themselves come from votes; equal firsts share); entropy of the answers in nats."""
    groups: dict[str, list[Experience]] = {}
    for e in tries:
        if e.feedback and normalise(e.feedback.answer) is not None:
            groups.setdefault(e.task.id, []).append(e)
    margins, rights, entropies = [], [], []
    for own in groups.values():
        if len(own) < 2:
            continue
        marks: dict[str | None, list[bool]] = {}
        for e in own:
            if e.feedback:
                marks.setdefault(normalise(e.feedback.answer), []).append(e.feedback.mark is Mark.right)
        counts = Counter({a: len(m) for a, m in marks.items()})
        shares = sorted((n / len(own) for n in counts.values()), reverse=True)
        margins.append(shares[0] - (shares[1] if len(shares) > 1 else 0.0))
        entropies.append(-sum(s * log(s) for s in shares))
        if all(e.feedback and e.feedback.source != "vote" for e in own):
            first = [a for a, n in counts.items() if n == max(counts.values())]
            rights.append(float(np.mean([np.mean(marks[a]) for a in first])))
    return _mean(margins), _mean(rights), _mean(entropies)


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Distinct n-grams per n-gram (Li 2016), the mean over windows of 100 words; None if there are fewer words."""
    words = [w for text in texts for w in pieces(text)]
    windows = [words[i : i + WINDOW] for i in range(0, len(words) - WINDOW + 1, WINDOW)]
    grams = [[tuple(w[i : i + n]) for i in range(WINDOW - n + 1)] for w in windows]
    return _mean([len(set(g)) / len(g) for g in grams])


def vendi(texts: Sequence[str]) -> float | None:
    """The Vendi score (Friedman and Dieng 2022) of blocks of 16 texts, their mean, as a share of 16: 1/16 if all are
    equal, 1 if no two share anything; None for fewer texts. ``exp(-sum(l * log(l)))`` over the eigenvalues l of K/16,
    where K is the cosine of counts of character 3-grams."""
    blocks = [texts[i : i + BLOCK] for i in range(0, len(texts) - BLOCK + 1, BLOCK)]
    some = [blocks[i * len(blocks) // BLOCKS] for i in range(BLOCKS)] if len(blocks) > BLOCKS else blocks
    return _mean([_effective(own) / BLOCK for own in some])


def _effective(texts: Sequence[str]) -> float:
    counts = [Counter(f" {t} "[i : i + 3] for i in range(max(1, len(t)))) for t in texts]
    columns = {g: i for i, g in enumerate(sorted({g for c in counts for g in c}))}
    x = np.zeros((len(texts), len(columns)))
    for row, c in enumerate(counts):
        for gram, count in c.items():
            x[row, columns[gram]] = count
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(x @ x.T / len(texts))
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
