"""ROUGE-L between short texts, and an index that finds what is like a text without comparing it with all of them.

Lin 2004, *ROUGE: A Package for Automatic Evaluation of Summaries*: F with equal weights of the longest common
subsequence of words. The words are those of the package rouge-score without a stemmer, as Self-Instruct uses it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from math import ceil, floor

_WORD = re.compile(r"[a-z0-9]+")
_Marked = tuple[str, int]
"""A word and which of its repetitions in the text."""


def words_of(text: str) -> list[str]:
    """Runs of ASCII letters and digits, lower case; a text of other letters has its runs of letters."""
    return _WORD.findall(text.lower()) or re.findall(r"\w+", text.lower())


def rouge_l(a: str, b: str) -> float:
    """F of the longest common subsequence, from 0 to 1; 0 where either has no word."""
    return _f(words_of(a), words_of(b))


class RougeIndex:
    """Texts, and whether one is like any of them: F above ``threshold``.

    Two texts of m and n words with F > t share at least t (m + n) / 2 words, and so one of the first
    m - ceil(t m / (2 - t)) + 1 words of each in any one order of all words (the prefix filter of Chaudhuri, Ganti and
    Kaushik 2006). The order here has long words first: those are rare. What is found is compared exactly.
    """

    def __init__(self, texts: Iterable[str] = (), threshold: float = 0.7) -> None:
        self.threshold = threshold
        self._texts: list[list[str]] = []
        self._by_word: dict[_Marked, list[int]] = {}
        self.compared = 0
        """Exact comparisons so far."""
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """One more text, at the next place."""
        words = words_of(text)
        for key in self._prefix(words):
            self._by_word.setdefault(key, []).append(len(self._texts))
        self._texts.append(words)

    def like(self, text: str) -> int | None:
        """The place of the first text that this one is like, or None."""
        words = words_of(text)
        found = sorted({i for key in self._prefix(words) for i in self._by_word.get(key, ())})
        t, m = self.threshold, len(words)
        for i in found:
            n = len(self._texts[i])
            if not (m * t / (2 - t) - 1e-9 <= n <= m * (2 - t) / t + 1e-9):
                continue
            self.compared += 1
            if _f(words, self._texts[i]) > t:
                return i
        return None

    def _prefix(self, words: list[str]) -> list[_Marked]:
        seen: Counter[str] = Counter()
        marked: list[_Marked] = []
        for w in words:
            marked.append((w, seen[w]))
            seen[w] += 1
        least = ceil(floor(1e9 * len(words) * self.threshold / (2 - self.threshold)) / 1e9)
        return sorted(marked, key=lambda k: (-len(k[0]), k))[: len(words) - least + 1]


def _f(a: list[str], b: list[str]) -> float:
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, start=1):
            here = row[j]
            row[j] = before + 1 if x == y else max(row[j], row[j - 1])
            before = here
    return 2 * row[-1] / (len(a) + len(b))
