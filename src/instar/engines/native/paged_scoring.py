"""Scores replies in a cache of pages: the log-probabilities of tokens that are known, many sequences in one step.

They take the pages that those under way are not promised, find the beginnings that are read already, and leave theirs
to be found. A row's numbers depend on its own sequence alone, so a score is the same whoever is scored beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from instar.engines.native.llama import PAGE, SAMPLING, Ints, Llama
from instar.engines.native.pages import Pages, chain
from instar.engines.scheduler.backend import Score
from instar.engines.scheduler.scoring import log_probability
from instar.errors import EngineError

READ = 512
"""Tokens in one step: enough to keep the kernels busy, few enough that those who write wait little."""
LOGITS = 2**24
"""Logits held at once: 64 MB, whatever the vocabulary."""


def fitting(waiting: Sequence[Score], headroom: int) -> int:
    """How many of them one pass takes, into so many free pages."""
    taken = pages = tokens = 0
    for score in waiting:
        pages += _pages(score)
        if pages > headroom or (taken and tokens + _length(score) > READ):
            break
        tokens += _length(score)
        taken += 1
    return taken


def score(llama: Llama, pages: Pages, wanted: Sequence[Score]) -> None:
    """Resolve these. There must be room for all their pages. Raises EngineError if the kernels fail."""
    held: list[int] = []
    kept: list[int] = []
    tables = np.zeros((len(wanted), max(_pages(s) for s in wanted)), np.int32)
    starts = [_seat(llama, pages, s, table, held, kept) for s, table in zip(wanted, tables, strict=True)]
    found: list[list[float]] = [[] for _ in wanted]
    errors: dict[int, EngineError] = {}
    try:
        for ids, positions, of, last in _steps(wanted, starts, max(1, LOGITS // llama.shape.vocab)):
            logits = np.empty((len(last), llama.shape.vocab), np.float32)
            none = np.zeros(0, np.int32)
            llama.step(
                ids, positions, of, tables, last, none, np.zeros(0, SAMPLING), np.zeros(0, np.uint64), none,
                alone=False, logits=logits,
            )  # fmt: skip
            for row, at in zip(logits, last.tolist(), strict=True):
                place = int(of[at])
                asked = wanted[place]
                try:
                    token = asked.answer[int(positions[at]) - len(asked.ids) + 1]
                    found[place].append(log_probability(row, token))
                except EngineError as e:
                    errors[place] = e
    except BaseException:
        pages.forget(kept)
        pages.release(held, spoiled=True)
        raise
    pages.release(reversed(held), spoiled=bool(errors))
    for place, (asked, values) in enumerate(zip(wanted, found, strict=True)):
        if place in errors:
            asked.fail(errors[place])
        else:
            asked.future.set_result(values)


def _length(score: Score) -> int:
    """Tokens that are read: all but the last, which nothing is asked of."""
    return len(score.ids) + len(score.answer) - 1


def _pages(score: Score) -> int:
    return -(-_length(score) // PAGE)


def _seat(llama: Llama, pages: Pages, score: Score, table: Ints, held: list[int], kept: list[int]) -> int:
    """Fill a table with the pages of one sequence; from which position on it must be read."""
    beginning = chain(np.array(score.ids, np.int32))[: (len(score.ids) - 1) // PAGE]
    found = 0
    for digest in beginning:
        page = pages.find(digest)
        if page is None:
            break
        held.append(page)
        table[found] = page
        found += 1
    for at in range(found, _pages(score)):
        pages.promised += 1
        page = pages.take()
        held.append(page)
        table[at] = page
        if page in pages.spoiled:
            pages.spoiled.discard(page)
            llama.copy(0, page)
        if at < len(beginning) and pages.keep(page, beginning[at]):
            kept.append(page)
    return found * PAGE


def _steps(wanted: Sequence[Score], starts: Sequence[int], most: int) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """Tokens, positions, sequences, and the rows whose logits are asked for: at most ``most`` of those a step. In the
    order of the sequences, so that a page is read before, or in the step in which, another one finds it."""
    ids = np.concatenate(
        [np.array([*s.ids, *s.answer[:-1]][at:], np.int32) for s, at in zip(wanted, starts, strict=True)]
    )
    positions = np.concatenate(
        [np.arange(at, _length(s), dtype=np.int32) for s, at in zip(wanted, starts, strict=True)]
    )
    of = np.concatenate(
        [np.full(_length(s) - at, i, np.int32) for i, (s, at) in enumerate(zip(wanted, starts, strict=True))]
    )
    first = np.array([len(s.ids) - 1 for s in wanted], np.int32)
    asked = positions >= first[of]
    begin = 0
    while begin < len(ids):
        end = min(len(ids), begin + READ)
        lasts = np.flatnonzero(asked[begin:end]).astype(np.int32)
        if len(lasts) > most:
            end, lasts = begin + int(lasts[most]), lasts[:most]
        yield ids[begin:end].copy(), positions[begin:end].copy(), of[begin:end].copy(), lasts
        begin = end
