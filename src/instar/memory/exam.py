"""Whether a text repeats an exam: the scan that every note passes before it is remembered.

A run of 8 words, as gauntlet-guard scans memories (GPT-3's contamination test, arXiv 2005.14165, takes 13). A question
that is shorter than that is looked for whole, inside of longer texts too, down to 4 words: shorter ones ("Who is he?")
stand in what anybody says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from instar.similarity import normalised

WORDS, SHORTEST = 8, 4


def repeated(texts: Sequence[str], held_out: Sequence[str]) -> list[bool]:
    """For each text whether it repeats one of the questions that are held out. Marks and capitals play no part. Of 100
    questions or more, what a share of more than 5 % has is a template's, and proves nothing."""
    counts = Counter(run for q in held_out for run in set(_runs(_words(q), WORDS)))
    most = 0.05 * len(held_out) if len(held_out) >= 100 else len(held_out)
    runs = {run for run, n in counts.items() if n <= most}
    return [_repeats(_words(text), runs) for text in texts]


def _repeats(words: Sequence[str], runs: set[str]) -> bool:
    """Whether a run of 8, or a whole question of fewer, is in the text; one of fewer than 4 if it is the text."""
    return any(run in runs for n in range(SHORTEST, WORDS + 1) for run in _runs(words, n))


def _runs(words: Sequence[str], n: int) -> Iterator[str]:
    """The runs of n words of a text; of a shorter one, the whole."""
    for i in range(max(1, len(words) - n + 1)):
        yield " ".join(words[i : i + n])


def _words(text: str) -> list[str]:
    """The words of a text, without the marks around them: a question that is quoted is the question."""
    return [w for word in normalised(text).split() if (w := word.strip(".,;:!?\"'()[]<>"))]
