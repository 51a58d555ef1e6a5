"""Exact search in a memory: dense and lexical together, times how much of a note is retained. No index can change it.

score = R * ((1 - lexical) * cos + lexical * bm25), with the cosine of the embeddings and BM25 (Robertson and Zaragoza
2009, k1 = 1.2, b = 0.75) as a share of what a note could reach that has all the words of the query, so that both are at
most 1. Ties go to the later note, then to the id.

BM25 is our own forty lines and not bm25s: that builds its index of all texts anew for each insert, and cannot leave
notes out (those of another person, those that were forgotten) before it ranks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from instar.memory.embedders import Embed
from instar.memory.value import Memory
from instar.protocols import Found, Query
from instar.records import Note
from instar.similarity import normalised

Floats = np.ndarray[Any, np.dtype[np.float32]]
Places = np.ndarray[Any, np.dtype[np.int32]]

K1, B = 1.2, 0.75
NOBODY = ""
"""Whose a note is that is no person's."""
_WORD = re.compile(r"[^\W_]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SILENT = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "did", "do", "does", "for", "from", "had", "has", "have", "how",
    "i", "in", "is", "it", "its", "me", "my", "of", "on", "or", "so", "that", "the", "their", "they", "this", "to",
    "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "you",
    "your",
})  # fmt: skip
"""Words of a question that say nothing of what is asked for."""


@dataclass(frozen=True)
class Index:
    """One segment made ready: its vectors, per word the notes that have it, and what notes are left out by. A cache: it
    is made from the notes, and serves every memory that has the segment."""

    notes: tuple[Note, ...]
    vectors: Floats
    postings: dict[str, tuple[Places, Floats]]
    lengths: Floats
    who: dict[str, Places]
    when: Floats
    """The day of each note, NaN where it is not known."""


@dataclass(frozen=True)
class Ready:
    """A memory to be searched: the indices of its segments, and what became of their notes in this memory."""

    indices: tuple[Index, ...]
    live: tuple[np.ndarray[Any, np.dtype[np.bool_]], ...]
    strength: tuple[Floats, ...]
    since: tuple[Floats, ...]
    """The day from which each note fades, NaN where it does not."""


def index(notes: Sequence[Note], embed: Embed) -> Index:
    """Make a segment ready to be searched."""
    places: dict[str, list[tuple[int, int]]] = {}
    lengths = np.zeros(len(notes), dtype=np.float32)
    people: dict[str, list[int]] = {}
    for place, note in enumerate(notes):
        counted = Counter(terms(note.text))
        lengths[place] = counted.total()
        for word, n in counted.items():
            places.setdefault(word, []).append((place, n))
        people.setdefault(note.who or NOBODY, []).append(place)
    postings = {
        word: (np.array([p for p, _ in own], dtype=np.int32), np.array([n for _, n in own], dtype=np.float32))
        for word, own in places.items()
    }
    when = np.array([np.nan if n.when is None else n.when for n in notes], dtype=np.float32)
    who = {name: np.array(own, dtype=np.int32) for name, own in people.items()}
    return Index(tuple(notes), embed([n.text for n in notes]), postings, lengths, who, when)


def ready(memory: Memory, indices: Sequence[Index]) -> Ready:
    """A memory with the indices of its segments, in their order."""
    live = tuple(np.ones(len(i.notes), dtype=np.bool_) for i in indices)
    strength = tuple(np.ones(len(i.notes), dtype=np.float32) for i in indices)
    since = tuple(i.when.copy() for i in indices)
    if memory.states:
        for at, i in enumerate(indices):
            for place, note in enumerate(i.notes):
                if (state := memory.states.get(note.id)) is not None:
                    live[at][place], strength[at][place] = state.live, state.strength
                    if state.pinned:
                        since[at][place] = np.nan
                    elif state.recalled is not None:
                        since[at][place] = state.recalled
    return Ready(tuple(indices), live, strength, since)


def search(memory: Ready, query: Query, vector: np.ndarray[Any, Any]) -> list[Found]:
    """What fits best, the best first. ``vector`` is the query's embedding, a unit row of shape (dimensions,)."""
    indices = memory.indices
    words = set(terms(query.text)) - _SILENT
    n = max(1, sum(len(i.notes) for i in indices))
    mean = max(1.0, sum(float(i.lengths.sum()) for i in indices) / n)
    idf = {w: math.log(1 + (n - df + 0.5) / (df + 0.5)) for w in sorted(words)
           for df in [sum(len(i.postings[w][0]) for i in indices if w in i.postings)]}  # fmt: skip
    most = sum(idf.values()) * (K1 + 1)
    best: list[Found] = []
    for at, i in enumerate(indices):
        lexical = np.zeros(len(i.notes), dtype=np.float32)
        for w in sorted(words & i.postings.keys()):
            places, count = i.postings[w]
            norm = K1 * (1 - B + B * i.lengths[places] / mean)
            lexical[places] += idf[w] * count * (K1 + 1) / (count + norm)
        score = (1 - query.lexical) * (i.vectors @ vector) + query.lexical * lexical / max(most, 1e-9)
        if query.now is not None:
            gone_by = np.nan_to_num(np.maximum(query.now - memory.since[at], 0.0))
            score *= np.exp(-gone_by / (memory.strength[at] * query.days))
        score = np.round(score, 6)
        may = np.flatnonzero(_may(i, memory.live[at], query) & (score >= query.floor))
        if len(may) > query.k:  # all that the k-th best does not leave behind, equal ones too
            least = np.partition(score[may], -query.k)[-query.k]
            may = may[score[may] >= least]
        best = sorted([*best, *(Found(i.notes[p], float(score[p])) for p in may)], key=_rank)[: query.k]
    return _within(best, query.characters)


def _may(i: Index, live: np.ndarray[Any, np.dtype[np.bool_]], query: Query) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which notes of a segment may be recalled for this query at all, whatever they say."""
    may = live.copy()
    if query.who is not None:
        mine = np.zeros(len(may), dtype=np.bool_)
        mine[i.who.get(query.who, np.zeros(0, dtype=np.int32))] = True
        may &= mine
    if query.now is not None:
        may &= ~(i.when > query.now)  # NaN, a day that is not known, is never later
    if query.kinds or query.trust:
        may[[p for p in np.flatnonzero(may) if not _kind(i.notes[p], query)]] = False
    return may


def _kind(note: Note, query: Query) -> bool:
    return (not query.kinds or note.what in query.kinds) and (not query.trust or note.trust in query.trust)


def terms(text: str) -> list[str]:
    """The words that are compared: of Chinese, Japanese and Korean, pairs of characters."""
    found: list[str] = []
    for word in _WORD.findall(normalised(text)):
        if _WIDE.search(word):
            found += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            found.append(word[:-1] if len(word) > 3 and word.endswith("s") else word)
    return found


def _rank(found: Found) -> tuple[float, float, str]:
    return -found.score, -(found.note.when or 0.0), found.note.id


def _within(found: Sequence[Found], characters: int) -> list[Found]:
    kept, left = [], characters
    for one in found:
        if len(one.note.text) <= left:
            kept.append(one)
            left -= len(one.note.text)
    return kept
