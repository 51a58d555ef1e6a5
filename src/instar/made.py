"""What became of the tasks that a source made in a round: why each was kept or not, and the quality of all in figures.

A run and its report both count by the words of the decisions, so what is shown is what a source was stopped for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from instar.records import Decision
from instar.similarity import shingles

HELD_OUT = "it asks the same as a task that is held out for examining"
"""All that is said of such a clash. Which task that is, and in which set, would tell what is examined."""
SEEN = "it asks the same as a task that was seen"
TWICE = "it asks the same as another that was made with it"
EMPTY = "it asks nothing"
KEY_AGAIN = "; its key was found again in another way"
"""Ends the reason of a task that was kept, where that was tried."""
KEY_OTHER = "another way to find its key gave another"
SOURCE = "source "
"""What the item of a decision on a whole source begins with."""

ENOUGH = 20
"""Proposals of a round from which a fall is believed."""
FALL = 0.5
"""Part of what a source gave in its first round below which it has fallen."""
MOST_LEAKS = 0.5
"""Share of the valid ones that may ask what is held out: in a small space some do by chance."""
FEWEST_ANSWERED = 0.02
"""Share of the tasks with a right answer below which they are taken for unanswerable."""
_PAIRS = 200
KINDS_OF_QUALITY = ("validity", "novelty", "leaks", "diversity", "difficulty", "answerable")
"""The shares of a quality, in the order in which they are told."""


class Quality(BaseModel):
    """Of one source in one round. Shares are of what stands in brackets; None is not known.

    ``validity`` (all proposals), ``novelty`` and ``leaks`` (valid ones), ``diversity`` (mean dissimilarity of two kept
    ones: 1 less the Jaccard of their shingles), ``difficulty`` (mean share of wrong answers to a kept one),
    ``answerable`` (kept ones with a right answer), ``keys_right`` of ``keys_checked`` keys that were found in another
    way too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    round: int
    proposals: int
    kept: int
    validity: float | None = None
    novelty: float | None = None
    leaks: float | None = None
    diversity: float | None = None
    difficulty: float | None = None
    answerable: float | None = None
    keys_checked: int = 0
    keys_right: int = 0
    refused: dict[str, int] = {}
    """Of those not kept, how many for which reason."""

    def in_words(self) -> str:
        """One line of figures."""
        shares = {k: getattr(self, k) for k in KINDS_OF_QUALITY}
        said = [f"{k} {v:.0%}" for k, v in shares.items() if v is not None]
        if self.keys_checked:
            said.append(f"keys right {self.keys_right} of {self.keys_checked}")
        return f"kept {self.kept} of {self.proposals} proposals: {', '.join(said)}"


def quality(
    source: str, round: int, decisions: Sequence[Decision], questions: Sequence[str], rights: Mapping[str, float]
) -> Quality:
    """From the decisions on what a source proposed, the ``questions`` that were kept, and for each kept task that was
    tried the share of its answers that was right (``rights``, by the task's id)."""
    kept = sum(d.kept for d in decisions)
    refused = Counter(d.reason for d in decisions if not d.kept)
    repeats, leaks = refused[SEEN] + refused[TWICE], refused[HELD_OUT]
    valid = kept + repeats + leaks
    again = sum(d.kept and d.reason.endswith(KEY_AGAIN) for d in decisions)
    return Quality(
        source=source, round=round, proposals=len(decisions), kept=kept, validity=_share(valid, len(decisions)),
        novelty=_share(valid - repeats, valid), leaks=_share(leaks, valid), diversity=_diversity(questions),
        difficulty=1 - sum(rights.values()) / len(rights) if rights else None,
        answerable=_share(sum(r > 0 for r in rights.values()), len(rights)), keys_checked=again + refused[KEY_OTHER],
        keys_right=again, refused=dict(sorted(refused.items())),
    )  # fmt: skip


def fallen(past: Sequence[Quality]) -> str | None:
    """Why a source must not go on, from its rounds so far, the newest last; None where it may."""
    if not past:
        return None
    first, now = past[0], past[-1]
    if now.proposals < ENOUGH:
        return None
    if not now.kept:
        return f"nothing of {now.proposals} proposals could be kept"
    if now.leaks is not None and now.leaks > MOST_LEAKS:
        return f"{now.leaks:.0%} of what it makes asks what is held out (at most {MOST_LEAKS:.0%} may)"
    if now.answerable is not None and now.answerable < FEWEST_ANSWERED:
        return f"{now.answerable:.0%} of what it makes was answered rightly even once"
    if now.difficulty is not None and now.difficulty == 0:
        return "all that it makes is answered rightly always: there is nothing to learn from it"
    for what in ("validity", "novelty", "diversity"):
        then, value = getattr(first, what), getattr(now, what)
        if len(past) > 1 and then and value is not None and value < FALL * then:
            return f"its {what} fell from {then:.0%} in round {first.round} to {value:.0%}"
    return None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _diversity(questions: Sequence[str]) -> float | None:
    """Of two halves side by side, as many pairs as ``_PAIRS``: all pairs would be no better known, and the square."""
    half = len(questions) // 2
    pairs = list(zip(questions, questions[half:], strict=False))[: min(half, _PAIRS)]
    return sum(_apart(a, b) for a, b in pairs) / len(pairs) if pairs else None


def _apart(a: str, b: str) -> float:
    x, y = shingles(a), shingles(b)
    return 1 - len(x & y) / len(x | y)


def of_source(item: str) -> str | None:
    """The source that a decision's item names; None for an item that is none."""
    return item.removeprefix(SOURCE) if item.startswith(SOURCE) else None


def rights_of(marks: Iterable[tuple[str, bool]]) -> dict[str, float]:
    """For each task the share of its answers that was right, from (task, right) of each answer."""
    counts: dict[str, list[bool]] = {}
    for task, right in marks:
        counts.setdefault(task, []).append(right)
    return {task: sum(own) / len(own) for task, own in counts.items()}
