"""Forgetting and transfer: what became of each ability while others were learned, from reports on one exam.

``R[t][j]`` is the score on ability j after round t, ``R[0]`` that of the start. Backward transfer: Lopez-Paz and
Ranzato, arXiv:1706.08840; forgetting: Chaudhry et al., arXiv:1801.10112; both as in methods.md 4.4, over the abilities
that were taught before the last round. Beside them the form without a round's ability: the best so far less the score
now, of every ability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from instar.records import Report


class Transfer(NamedTuple):
    """What became of abilities, as fractions; None where there is nothing yet that it could be said of."""

    scores: Mapping[str, tuple[float, ...]]
    """By ability, its score at the start and after each round."""
    forgotten: Mapping[str, float]
    """By ability, the best score so far less the last one."""
    forgetting: float | None
    """Mean over abilities taught before the last round: the best after any round less the last (``F``)."""
    backward: float | None
    """Mean over the same of the last score less that right after its round (``BWT``)."""
    forward: float | None
    """Mean over abilities taught after the first round of the score before their first round less that of the
    start (``FWT``)."""
    plasticity: float | None
    """Mean over abilities taught of the score right after their first round less that of the start."""


def scores_of(reports: Sequence[Report]) -> dict[str, tuple[float, ...]]:
    """By ability, its score in each of these reports of one exam."""
    abilities = dict.fromkeys(a for r in reports for a in r.abilities)
    return {a: tuple(_score(r, a) for r in reports) for a in abilities}


def _score(report: Report, ability: str) -> float:
    metrics = report.abilities[ability]
    return metrics.get(f"mean@{report.exam.n}", metrics["mean@1"]).value


def transfer(reports: Sequence[Report], taught: Sequence[str]) -> Transfer:
    """``reports``: that of the start, then one after each round; ``taught``: each round's ability."""
    return transferred(scores_of(reports), taught)


def transferred(scores: Mapping[str, Sequence[float]], taught: Sequence[str]) -> Transfer:
    """As ``transfer``, from the scores themselves: one of the start, then one a round."""
    found = {a: tuple(s) for a, s in scores.items()}
    last = len(taught)
    after = {ability: t for t, ability in enumerate(taught, 1)}  # an ability taught twice: its last round
    first = {ability: taught.index(ability) + 1 for ability in after}
    old = [a for a, t in after.items() if t < last and a in found]
    late = [a for a, t in first.items() if t > 1 and a in found]
    return Transfer(
        found,
        {a: max(s) - s[-1] for a, s in found.items()},
        _mean([max(found[a][1:last]) - found[a][last] for a in old]),
        _mean([found[a][last] - found[a][after[a]] for a in old]),
        _mean([found[a][first[a] - 1] - found[a][0] for a in late]),
        _mean([found[a][t] - found[a][0] for a, t in first.items() if a in found]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def in_words(found: Transfer) -> str:
    """One line: each ability's way, then what was forgotten."""
    ways = "; ".join(f"{a} {' > '.join(f'{100 * s:.1f}' for s in scores)}" for a, scores in found.scores.items())
    lost = {a: drop for a, drop in found.forgotten.items() if drop > 0}
    told = ", ".join(f"{a} {100 * drop:.1f} points" for a, drop in sorted(lost.items(), key=lambda x: -x[1]))
    return f"dev by ability: {ways} (now below its best: {told or 'none'})"
