"""From pairs of answers to training rows: the rows of each answer, and which are whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from instar.errors import DataError, NothingLearned
from instar.records import OWN, Experience, Learned, Pair, Policy
from instar.update.weights.layout.rows import Exchanges, Row, learned_from, rows_of

NO_PAIRS = "nothing was learned: no answer is preferred to another"


class Sided(NamedTuple):
    """The places of a pair's rows: an answer of several trained turns has several."""

    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


class PairRows(NamedTuple):
    """What can be trained on of pairs, in their order."""

    rows: list[Row]
    pairs: list[Sided]
    refused: dict[str, int]
    """How many turns were refused for which reason; and how many pairs for want of one."""
    learned: list[Learned]
    """Toward the chosen, away from the rejected."""


def answers_of(pairs: Sequence[Pair]) -> tuple[dict[str, Experience], dict[str, Experience]]:
    """The chosen answers and the rejected ones, each once. Raises DataError for one that is on both sides."""
    chosen = {p.chosen.id: p.chosen for p in pairs}
    rejected = {p.rejected.id: p.rejected for p in pairs}
    both = next((id for id in chosen if id in rejected), None)
    if both is not None:
        raise DataError(
            f"The answer {both} is preferred in one pair and rejected in another: it would be learned both ways.",
            "Pair each answer on one side.",
        )
    return chosen, rejected


def pair_rows(
    policy: Policy, pairs: Sequence[Pair], folder: Path, max_length: int, exchanges: Exchanges = lambda ids: {}
) -> PairRows:
    """The rows of these pairs for the model in ``folder``. A pair of which a turn cannot become a row is refused whole.

    Raises NothingLearned if no pair remains, with the count of each reason, DataError as ``answers_of``."""
    chosen, rejected = answers_of(pairs)
    data = [*chosen.values(), *rejected.values()]
    try:
        rows = rows_of(policy, data, folder, max_length, exchanges, negatives=True)
    except DataError as e:
        raise NothingLearned(f"{NO_PAIRS} that can be trained on: {e.message}") from e
    places: dict[str, list[int]] = {}
    for i, place in enumerate(rows.source):
        places.setdefault(data[place].id, []).append(i)
    whole = {
        e.id
        for e in data
        if e.id in places and len(places[e.id]) == sum(t.train and t.kind in OWN for t in e.solution.turns)
    }
    refused = Counter(rows.refused)
    kept = [p for p in pairs if p.chosen.id in whole and p.rejected.id in whole]
    if len(kept) < len(pairs):
        refused["a pair without the row of one of its answers"] += len(pairs) - len(kept)
    if not kept:
        why = ", ".join(f"{n} x {reason}" for reason, n in sorted(refused.items()))
        raise NothingLearned(f"{NO_PAIRS} that can be trained on ({why})")
    heard = {e.id for p in kept for e in (p.chosen, p.rejected)}
    learned = [
        told
        for told in learned_from(data, rows, lambda place, _: 1 if data[place].id in chosen else -1)
        if told.solution in heard
    ]
    sided = [Sided(tuple(places[p.chosen.id]), tuple(places[p.rejected.id])) for p in kept]
    return PairRows(rows.kept, sided, dict(sorted(refused.items())), learned)
