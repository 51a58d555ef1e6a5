"""Which rows make up which optimiser step: a pure function of the rows, the seed and the settings.

Rows of one prompt stay together, and so do the turns of one dialogue, each of which is read again in the prompt of the
next; rows of like length meet: so little is padded and much is shared. The order is shuffled twice by the seed, before
the sorting and after it. Every row comes exactly once an epoch.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from instar.update.weights.layout.rows import Row

CHUNK = 8
"""Batches that are sorted by length together. More: less padding; fewer: lengths mix better."""


def plan(rows: Sequence[Row], *, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """Row numbers of each optimiser step, all epochs in order. Only the last batch of an epoch's cut is smaller."""
    groups = _together(rows)
    steps: list[list[int]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}/{epoch}")
        shuffled = list(groups)
        rng.shuffle(shuffled)
        order: list[int] = []
        for chunk in _chunks(shuffled, CHUNK * batch_size):
            chunk.sort(key=lambda group: max(len(rows[i].ids) for i in group))
            order += [i for group in chunk for i in group]
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        rng.shuffle(batches)
        steps += batches
    return steps


def _together(rows: Sequence[Row]) -> list[list[int]]:
    """The rows that share the most, in the order of their first: those of one prompt, and those whose prompt begins
    with another row's prompt and answer."""
    first: dict[tuple[int, ...], int] = {}
    joined = [first.setdefault(row.ids[: row.prompt], i) for i, row in enumerate(rows)]

    def head(i: int) -> int:
        while joined[i] != i:
            i = joined[i]
        return i

    path: list[int] = []  # the rows that the one at hand begins with, each inside the next
    for i in sorted(range(len(rows)), key=lambda i: rows[i].ids):
        ids, prompt = rows[i]
        while path and ids[: len(rows[path[-1]].ids)] != rows[path[-1]].ids:
            path.pop()
        if path and len(rows[path[-1]].ids) <= prompt:
            joined[head(i)] = head(path[-1])
        path.append(i)
    groups: dict[int, list[int]] = {}
    for i in range(len(rows)):
        groups.setdefault(head(i), []).append(i)
    return list(groups.values())


def _chunks(groups: Sequence[list[int]], size: int) -> list[list[list[int]]]:
    """The groups cut into chunks of at least ``size`` rows (the last may hold fewer)."""
    chunks: list[list[list[int]]] = [[]]
    count = 0
    for group in groups:
        if count >= size:
            chunks.append([])
            count = 0
        chunks[-1].append(group)
        count += len(group)
    return chunks


def share(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Cut a step into micro-batches: the numbers of the items, in order, such that no micro-batch holds more than
    ``most`` tokens with its padding. An item longer than that goes alone.
    """
    parts: list[list[int]] = []
    longest = 0
    for i, length in enumerate(lengths):
        longest = max(longest, length)
        if not parts or (len(parts[-1]) + 1) * longest > most:
            parts.append([])
            longest = length
        parts[-1].append(i)
    return parts
