"""Pairs of answers to one task, one preferred to the other: what preference updates learn from.

Papers: own right beside own wrong, V-STaR, arXiv 2402.06457, section 3.2 (all right ones with all wrong ones); highest
beside lowest of a judge, Self-Rewarding LM, arXiv 2401.10020, section 2.4 (a tie is no pair); the data's answer beside
the model's own, SPIN, arXiv 2401.01335, section 4; one answer under a good prompt beside one under a bad, RLCD, arXiv
2307.12950, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

from pydantic import Field

from instar.protocols import Pairing
from instar.records import Decision, Experience, Finish, Mark, Polarity, Preference
from instar.records.pair import GOLD, Why, known_right, no_pair


class Pairs(Pairing):
    """Pairs within each task, for one reason ``why``; an answer that is in none is left out with a reason.

    ``contrastive``: found right beside found wrong. ``perturbative``: meant right beside meant wrong. ``gold``: the
    task's own answer (flag "gold") beside each other one that is not known to be right. ``order``: the best beside the
    worst by score; of the next best and next worst come further pairs, never one answer on both sides, never a tie.

    At most ``at_most`` pairs a task (None: all; of ``order`` at most half as many as there are answers). Of the side
    that has more, every answer is used once before one is used twice. Two equal answers are no pair, nor is one whose
    rejected side is right. A cut-off answer is never chosen.
    """

    name: ClassVar[str] = "pairs"

    why: Why = Why.contrastive
    at_most: int | None = Field(default=2, ge=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Preference | Decision]:
        groups: dict[str, list[Experience]] = {}
        for item in items:
            groups.setdefault(item.task.id, []).append(item)
        return [made for group in groups.values() for made in self._of(group)]

    def _of(self, group: Sequence[Experience]) -> list[Preference | Decision]:
        better, worse = self._sides(group)
        made: list[Preference] = []
        no: dict[str, str] = {}
        for chosen, rejected in _in_turn(better, worse, matched=self.why is Why.order):
            if self.at_most is not None and len(made) == self.at_most:
                break
            reason = no_pair(chosen, rejected) or self._tie(chosen, rejected)
            if reason:
                no |= {chosen.id: reason, rejected.id: reason}
            else:
                made.append(
                    Preference(
                        task=chosen.task.id, chosen=chosen.id, rejected=rejected.id, why=self.why,
                        reason=self._words(chosen, rejected),
                    )
                )  # fmt: skip
        used = {id for p in made for id in (p.chosen, p.rejected)}
        told = {e.id: "nothing to prefer it to" for e in better} | {e.id: "nothing is preferred to it" for e in worse}
        full = f"its task has {len(made)} pair{'s' * (len(made) > 1)} already" if made else None
        left = [
            Decision(item=e.id, kept=False, reason=self._beside(e, told, no.get(e.id), full))
            for e in group if e.id not in used
        ]  # fmt: skip
        return [*made, *left]

    def _beside(self, e: Experience, told: dict[str, str], no: str | None, full: str | None) -> str:
        if e.id not in told:
            return f"on no side of a pair ({self.why}): {_said(e)}"
        return no or full or told[e.id]

    def _sides(self, group: Sequence[Experience]) -> tuple[list[Experience], list[Experience]]:
        whole = [e for e in group if e.solution.finish is not Finish.length]
        if self.why is Why.contrastive:
            return [e for e in whole if _marked(e, Mark.right)], [e for e in group if _marked(e, Mark.wrong)]
        if self.why is Why.perturbative:
            return (
                [e for e in whole if e.solution.polarity is Polarity.right],
                [e for e in group if e.solution.polarity is Polarity.wrong],
            )
        if self.why is Why.gold:
            return (
                [e for e in whole if GOLD in e.solution.flags],
                [e for e in group if GOLD not in e.solution.flags and not known_right(e)],
            )
        ranked = sorted((e for e in group if _score(e) is not None), key=lambda e: -(_score(e) or 0.0))
        half = len(ranked) // 2
        return [e for e in ranked[:half] if e in whole], ranked[len(ranked) - half :][::-1]

    def _tie(self, chosen: Experience, rejected: Experience) -> str | None:
        if self.why is Why.order and _score(chosen) == _score(rejected):
            return f"no pair: a tie, both score {_score(chosen):g}"
        return None

    def _words(self, chosen: Experience, rejected: Experience) -> str:
        if self.why is Why.contrastive:
            return "own right answer beside own wrong one"
        if self.why is Why.perturbative:
            return "meant right beside meant wrong"
        if self.why is Why.gold:
            return "the task's answer beside its own"
        return f"scored {_score(chosen):g} beside {_score(rejected):g}"


def _in_turn(
    better: Sequence[Experience], worse: Sequence[Experience], *, matched: bool
) -> list[tuple[Experience, Experience]]:
    """The pairs in the order in which they are taken. ``matched``: first with first, second with second, no more."""
    if matched:
        return list(zip(better, worse, strict=False))
    rounds = product(range(min(len(better), len(worse))), range(max(len(better), len(worse))))
    if len(better) <= len(worse):
        return [(better[(k + shift) % len(better)], worse[k]) for shift, k in rounds]
    return [(better[k], worse[(k + shift) % len(worse)]) for shift, k in rounds]


def _marked(e: Experience, mark: Mark) -> bool:
    return e.feedback is not None and e.feedback.mark is mark


def _score(e: Experience) -> float | None:
    return e.feedback.score if e.feedback is not None else None


def _said(e: Experience) -> str:
    """What is known of an answer, in short."""
    mark = e.feedback.mark if e.feedback is not None else "not judged"
    cut = ", cut off" if e.solution.finish is Finish.length else ""
    return f"{mark}, meant {e.solution.polarity}{cut}"
