"""Keep the programs that most agree with most tests: both were written by the model, so neither is trusted alone.

Paper: Chen et al., *CodeT: Code Generation with Generated Tests*, arXiv 2207.10397: run every program on every
generated test; programs that pass exactly the same tests are one consensus set; its score is (programs in it) x (tests
it passes). The programs of the best set are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from instar.protocols import Filter
from instar.records import Decision, Experience


class DualAgreement(Filter):
    """Keeps the programs of the task's best consensus set, read from what execution recorded; nothing is run here.

    ``evidence`` names the entry of the feedback's evidence that has one true or false a generated test, in the same
    order for all programs of a task. If two sets share the best score it keeps neither: there is no agreement. Programs
    that pass nothing are never kept; one without the evidence, or with another number of tests than the others, is
    dropped as unscored.
    """

    name: ClassVar[str] = "dual_agreement"

    evidence: str = Field(default="passed", min_length=1)

    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]:
        groups: dict[str, list[Experience]] = {}
        for item in items:
            groups.setdefault(item.task.id or item.task.digest, []).append(item)
        said = {d.item: d for own in groups.values() for d in self._decide(own)}
        return [said[item.id] for item in items]

    def _decide(self, own: Sequence[Experience]) -> list[Decision]:
        rows = [_row(e.feedback.evidence.get(self.evidence) if e.feedback else None) for e in own]
        widths = [len(r) for r in rows if r is not None]
        width = max(set(widths), key=lambda w: (widths.count(w), w), default=0)
        known = [r if r is not None and len(r) == width else None for r in rows]
        scores = agreement([r for r in known if r is not None])
        best = max(scores.values(), default=0)
        firsts = [r for r, s in scores.items() if s == best]
        decisions = []
        for e, r in zip(own, known, strict=True):
            if r is None:
                kept, reason = False, f"unscored: no {self.evidence!r} of {width} tests was recorded"
            elif best == 0:
                kept, reason = False, "no program passes any test"
            elif scores[r] < best:
                kept, reason = False, f"its consensus set scores {scores[r]}, the best {best}"
            elif len(firsts) > 1:
                kept, reason = False, f"no agreement: {len(firsts)} consensus sets score {best}"
            else:
                kept, reason = True, f"the best consensus set: {best // sum(r)} programs pass the same {sum(r)} tests"
            decisions.append(Decision(item=e.id, kept=kept, reason=reason))
        return decisions


def agreement(matrix: Sequence[tuple[bool, ...]]) -> dict[tuple[bool, ...], int]:
    """CodeT's score of each consensus set of a matrix (a row a program, a column a test): programs x tests passed."""
    return {row: matrix.count(row) * sum(row) for row in dict.fromkeys(matrix)}


def _row(value: Any) -> tuple[bool, ...] | None:
    """Recorded results, if that is what they are: evidence is data, not to be trusted in its form."""
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(x, bool) for x in value):
        return None
    return tuple(value)
