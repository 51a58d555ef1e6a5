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
from instar.memory.value import Memory, retention
from instar.protocols import Found, Query
from instar.records import Note
from instar.similarity import normalised

K1, B = 1.2, 0.75
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
    """One segment made ready: its vectors, and per word the notes that have it. A cache: it is made from the notes."""

    notes: tuple[Note, ...]
    vectors: np.ndarray[Any, np.dtype[np.float32]]
    postings: dict[str, tuple[np.ndarray[Any, np.dtype[np.int32]], np.ndarray[Any, np.dtype[np.float32]]]]
    lengths: np.ndarray[Any, np.dtype[np.float32]]


def index(notes: Sequence[Note], embed: Embed) -> Index:
    """Make a segment ready to be searched."""
    places: dict[str, list[tuple[int, int]]] = {}
    lengths = np.zeros(len(notes), dtype=np.float32)
    for place, note in enumerate(notes):
        counted = Counter(terms(note.text))
        lengths[place] = counted.total()
        for word, n in counted.items():
            places.setdefault(word, []).append((place, n))
    postings = {
        word: (np.array([p for p, _ in own], dtype=np.int32), np.array([n for _, n in own], dtype=np.float32))
        for word, own in places.items()
    }
    return Index(tuple(notes), embed([n.text for n in notes]), postings, lengths)


def search(memory: Memory, indices: Sequence[Index], query: Query, vector: np.ndarray[Any, Any]) -> list[Found]:
    """What fits best, the best first. ``indices`` are of the memory's segments, ``vector`` the query's embedding, a
    unit row of shape (dimensions,)."""
    words = set(terms(query.text)) - _SILENT
    n = max(1, sum(len(i.notes) for i in indices))
    mean = max(1.0, sum(float(i.lengths.sum()) for i in indices) / n)
    idf = {w: math.log(1 + (n - df + 0.5) / (df + 0.5)) for w in sorted(words)
           for df in [sum(len(i.postings[w][0]) for i in indices if w in i.postings)]}  # fmt: skip
    most = sum(idf.values()) * (K1 + 1)
    best: list[Found] = []
    for i in indices:
        cos = i.vectors @ vector
        lexical = np.zeros(len(i.notes), dtype=np.float32)
        for w in sorted(words & i.postings.keys()):
            at, count = i.postings[w]
            norm = K1 * (1 - B + B * i.lengths[at] / mean)
            lexical[at] += idf[w] * count * (K1 + 1) / (count + norm)
        relevance = (1 - query.lexical) * cos + query.lexical * lexical / max(most, 1e-9)
        # R is at most 1: what is below the k-th best already, or the floor, need not be looked at
        for place in np.argsort(-relevance, kind="stable"):
            bound = best[query.k - 1].score if len(best) >= query.k else -math.inf
            if relevance[place] < max(query.floor, bound):
                break
            note = i.notes[place]
            if not fits(note, memory, query):
                continue
            faded = retention(note, memory.state(note.id), query.now, query.days)
            if (score := round(float(relevance[place]) * faded, 6)) >= query.floor:
                best = sorted([*best, Found(note, score)], key=_rank)[: query.k]
    return _within(best, query.characters)


def fits(note: Note, memory: Memory, query: Query) -> bool:
    """Whether a note may be recalled for this query at all."""
    return (
        memory.state(note.id).live
        and (not query.kinds or note.what in query.kinds)
        and (not query.trust or note.trust in query.trust)
        and (query.who is None or note.who == query.who)
        and (query.now is None or note.when is None or note.when <= query.now)
    )


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
