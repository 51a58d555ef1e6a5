"""Whether a text repeats an exam: the scan that every note passes before it is remembered.

A run of 8 words, as gauntlet-guard scans memories (GPT-3's contamination test, arXiv 2005.14165, takes 13). A question
that is shorter than that is looked for whole, inside of longer texts too, down to 4 words: shorter ones ("Who is he?")
stand in what anybody says. Of scripts without blanks, three letters count as two words.
"""

from __future__ import annotations

from collections.abc import Sequence

from instar.similarity import runs_of, telling_runs, words_of

WORDS, SHORTEST = 8, 4


def repeated(texts: Sequence[str], held_out: Sequence[str]) -> list[bool]:
    """For each text whether it repeats one of the questions that are held out. Marks and capitals play no part, nor
    does what a template of these questions says."""
    runs = telling_runs(held_out, WORDS)
    # a run of 8, or a whole question of fewer; one of fewer than 4 only if it is the text
    return [any(run in runs for run in runs_of(words_of(text), WORDS, SHORTEST)) for text in texts]
