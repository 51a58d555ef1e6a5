"""Whether a text asks what another asks, in the same words or in others: an index over what must not be asked again.

Two questions are the same when their numbers are, and what is said around them; where there are no numbers, when most
of the words that tell one question from another are. What decides is told in ``Index.of``. A text is looked up by its
numbers and by its rare words, so the work grows with the texts and not with their product.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from instar.arithmetic import canonical_expression
from instar.similarity import UNSPACED, as_seen

COMMON = 0.05
"""Share of the texts, where there are 100 or more, beyond which a word is a template's and is not looked up by."""
CROWDED = 64
"""Texts with the same numbers beyond which their rare words are looked up instead."""

_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TO_NINETY = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS, _TENS = _TO_NINETEEN.split(), _TO_NINETY.split()
_NUMBER_WORDS = {w: i for i, w in enumerate(_UNITS)} | {w: 10 * i for i, w in enumerate(_TENS, start=2)}
_NAMED = "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True))
_WORDED = re.compile(rf"\b({'|'.join(_TENS)})[ -]({'|'.join(_UNITS[1:10])})\b|\b({_NAMED})\b")
_SAID = (
    (re.compile(r"\b(?:multiplied by|times)\b"), "*"),
    (re.compile(r"\bdivided by\b"), "/"),
    (re.compile(r"\bplus\b"), "+"),
    (re.compile(r"\bminus\b"), "-"),
    (re.compile(r"(?<=[\d)])\s*x\s*(?=[\d(])"), " * "),
    (re.compile(r"\bsum of (-?[\d.]+) and (-?[\d.]+)"), r"\1 + \2"),
    (re.compile(r"\bproduct of (-?[\d.]+) and (-?[\d.]+)"), r"\1 * \2"),
    (re.compile(r"\bdifference (?:of|between) (-?[\d.]+) and (-?[\d.]+)"), r"\1 - \2"),
    (re.compile(r"\badd (-?[\d.]+) (?:to|and) (-?[\d.]+)"), r"\1 + \2"),
    (re.compile(r"\bsubtract (-?[\d.]+) from (-?[\d.]+)"), r"\2 - \1"),
)
"""Arithmetic said in words, as signs."""
_RUN = re.compile(r"[-(\s]*\d[\d.\s()+*/×÷·−–-]*")  # noqa: RUF001 - look-alike signs are meant
_OPERATOR = re.compile(r"[+*/×÷·−–-]")  # noqa: RUF001 - look-alike signs are meant
_NUMBER = re.compile(r"(?<![^\W\u0e00-\u9fff])(?<!\.)-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_STOP_WORDS = (
    "a an and are as at be been but by can could do does for from had has have he her his how i if in into is it its "
    "many me much my now of off on or our she should so such than that the their them then there these they this those "
    "to up was we were what when where which who will with would you your calculate compute evaluate solve find "
    "determine work out give tell state say please kindly answer result final problem question following below here "
    "only just exactly value number"
)
"""Words that tell no question from another."""
_STOP = frozenset(_STOP_WORDS.split())
_ARITHMETIC = (
    (re.compile(r"(?<=[\d)])\s*加上?\s*(?=[\d(])"), " + "),
    (re.compile(r"(?<=[\d)])\s*减去?\s*(?=[\d(])"), " - "),
    (re.compile(r"(?<=[\d)])\s*乘以?\s*(?=[\d(])"), " * "),
    (re.compile(r"(?<=[\d)])\s*除以\s*(?=[\d(])"), " / "),
)
_SILENT = re.compile(
    "请问?|计算|求出?|回答|告诉我|下面|以下|问题|答案|结果|等于|多少|什么|哪里?|谁|几|现在|一共|总共|一下|"
    "是|的|了|吗|呢|在|由|被|把|从|将|他|她|它|们|有|这|那|个"
)
"""As ``_STOP_WORDS``, of Chinese."""
_UNBROKEN = re.compile(rf"[{UNSPACED}]+")


@dataclass(frozen=True)
class Content:
    """What a text asks: its arithmetic in one form each, its other numbers, the words that are left, as stems."""

    sums: tuple[str, ...]
    numbers: tuple[str, ...]
    words: frozenset[str]

    @property
    def counted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.sums, self.numbers


@cache
def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def content_of(text: str) -> Content:
    """A text without what may be said otherwise: letters' case and form, signs and numbers in words, order of a sum."""
    text = _WORDED.sub(_digits, as_seen(text))
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    for said, sign in (*_SAID, *_ARITHMETIC):
        text = said.sub(sign, text)
    sums: list[str] = []

    def take(found: re.Match[str]) -> str:
        run = found.group().strip().rstrip("+-*/. (")
        if not _OPERATOR.search(run.lstrip("-")):
            return found.group()
        key = canonical_expression(run) or canonical_expression(_balanced(run))
        if key is None:
            return found.group()
        sums.append(key)
        return " "

    rest = _RUN.sub(take, text)
    numbers = sorted(_NUMBER.findall(rest))
    runs = _UNBROKEN.findall(_SILENT.sub(" ", rest))
    if not runs and not sums:  # "who is he?" is made of nothing else, and is still asked
        runs = _UNBROKEN.findall(rest)
    pairs = {pair for run in runs for pair in _pairs(run)}
    words = {_stem(w) for w in _WORD.findall(_UNBROKEN.sub(" ", rest)) if w not in _STOP}
    return Content(tuple(sorted(sums)), tuple(numbers), frozenset(words | pairs))


def _pairs(run: str) -> list[str]:
    """Of letters that are written without blanks, each two that stand side by side: what words are to be told by."""
    return [run[i : i + 2] for i in range(max(1, len(run) - 1))]


class Index:
    """Texts that must not be asked again. ``of`` says which of them a text asks.

    Words weigh as they are rare among these texts (inverse document frequency), so that what all items of a template
    have says nothing.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._items: list[Content] = [content_of(t) for t in texts]
        counts = Counter(w for item in self._items for w in item.words)
        n = len(self._items)
        self._weights = {w: math.log(1 + n / c) for w, c in counts.items()}
        self._unknown = math.log(1 + max(1, n))
        most = COMMON * n if n >= 100 else n
        self._by_count: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
        self._by_word: dict[str, list[int]] = {}
        for place, item in enumerate(self._items):
            self._by_count.setdefault(item.counted, []).append(place)
            for w in item.words:
                if counts[w] <= most:
                    self._by_word.setdefault(w, []).append(place)

    def of(self, text: str) -> int | None:
        """The place of a text that this one asks, or None.

        The same question is: the same arithmetic and no other numbers; or the same numbers, not all of it arithmetic,
        and at least 0.6 of the weight of its words; or its numbers with at most two more and 0.9 of that weight; or,
        where neither has numbers, words that are the same by 0.7 (Jaccard), or of four words or more 0.9 of the weight.
        """
        asked = content_of(text)
        if not (asked.sums or asked.numbers or asked.words):
            return None
        for place in self._candidates(asked):
            if self._same(asked, self._items[place]):
                return place
        return None

    def _candidates(self, asked: Content) -> list[int]:
        equal = self._by_count.get(asked.counted, []) if asked.sums or asked.numbers else []
        if asked.sums or len(equal) <= CROWDED:
            found = dict.fromkeys(equal)
        else:
            found = {}
        shared: Counter[int] = Counter()
        for w in sorted(asked.words):  # of places that share as many words the first come first, in every process
            shared.update(self._by_word.get(w, ()))
        found.update(dict.fromkeys(place for place, _ in shared.most_common(CROWDED)))
        return list(found)

    def _same(self, asked: Content, held: Content) -> bool:
        inside = self._weight(asked.words & held.words)
        whole = self._weight(held.words)
        part = inside / whole if whole else 1.0
        if held.sums or held.numbers:
            if asked.counted == held.counted:
                return bool(held.sums) or part >= 0.6
            return len(held.words) >= 3 and part >= 0.9 and _within(held, asked)
        if asked.sums or asked.numbers:
            return len(held.words) >= 4 and part >= 0.9 and len(asked.numbers) <= 2
        if not held.words:
            return not asked.words
        either = self._weight(asked.words | held.words)
        return inside / either >= 0.7 or (len(held.words) >= 4 and part >= 0.9)

    def _weight(self, words: frozenset[str]) -> float:
        return math.fsum(self._weights.get(w, self._unknown) for w in words)  # exact, so in whatever order


def asked_again(texts: Sequence[str], held: Sequence[str]) -> list[int | None]:
    """For each text the place of the one of ``held`` that it asks, or None: a scan of what was made for leaks."""
    index = Index(held)
    return [index.of(text) for text in texts]


def _within(held: Content, asked: Content) -> bool:
    """Whether one text has all numbers of the other, and at most two more."""
    more = Counter(asked.sums + asked.numbers)
    less = Counter(held.sums + held.numbers)
    return less <= more and more.total() - less.total() <= 2


def _digits(found: re.Match[str]) -> str:
    tens, unit, alone = found.groups()
    return str(_NUMBER_WORDS[alone] if alone else _NUMBER_WORDS[tens] + _NUMBER_WORDS[unit])


def _balanced(run: str) -> str:
    """A run without the brackets at its ends that have no other."""
    while run.startswith("(") and run.count("(") > run.count(")"):
        run = run[1:].lstrip()
    while run.endswith(")") and run.count(")") > run.count("("):
        run = run[:-1].rstrip()
    return run
