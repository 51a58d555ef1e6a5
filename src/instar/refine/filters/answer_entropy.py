"""Keep the tasks whose samples agree: the entropy of their answers is low. No gold answer is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log2
from typing import ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class AnswerEntropyAtMost(Filter):
    """Keeps all solutions of a task whose answers have an entropy of at most ``bits``, and drops all others of it.

    0 is full agreement, 1 two equal camps; n samples that all differ have log2(n). A sample without an answer counts as
    an answer of its own: silence is not agreement. Answers are compared as the judge read them, without case. A task
    with fewer than ``samples`` of them shows no agreement and is dropped. Agreement is no evidence of truth: a model
    can be sure and wrong.
    """

    name: ClassVar[str] = "answer_entropy_at_most"

    bits: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    samples: int = Field(default=2, ge=2)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        groups: dict[str, list[Experience]] = {}
        for item in items:
            groups.setdefault(item.task.id or item.task.digest, []).append(item)
        verdicts = {key: self._verdict(own) for key, own in groups.items()}
        decided = [(item, *verdicts[item.task.id or item.task.digest]) for item in items]
        return [Decision(item=item.id, kept=kept, reason=reason) for item, kept, reason in decided]

    def _verdict(self, own: Sequence[Experience]) -> tuple[bool, str]:
        if len(own) < self.samples:
            return False, f"{len(own)} samples, fewer than {self.samples}: nothing to agree with"
        if any(e.feedback is None for e in own):
            return False, "unscored: its answers were never read"
        found = entropy([e.feedback.answer if e.feedback else None for e in own])
        sign = "at most" if found <= self.bits else "above"
        return found <= self.bits, f"the answers' entropy {found:.3g} bits is {sign} {self.bits:g}"


def entropy(answers: Sequence[str | None]) -> float:
    """The entropy of these answers in bits; each None is an answer of its own."""
    counts = Counter(" ".join(a.casefold().split()) for a in answers if a is not None)
    shares = [n / len(answers) for n in counts.values()] + [1 / len(answers)] * sum(a is None for a in answers)
    return abs(-sum(s * log2(s) for s in shares))
