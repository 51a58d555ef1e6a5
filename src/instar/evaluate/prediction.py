"""Whether a round can help, before it is paid for: the generation-verification gap on the dev set.

Song et al., *Mind the Gap: Examining the Self-Improvement Capabilities of Large Language Models*, arXiv 2412.02674;
methods.md 4.2: the score of the policy reweighted by its own verifier, minus its score. Where that is not above zero
a self-training round cannot help. Departures: the verifier keeps or drops (as the filter of the round does) and does
not weigh; an item of which nothing is kept stays as it is, since such an item is not trained on; the gap has a
bootstrap interval over items, and its upper end decides. Where the gap is the same on every item the interval has no
width: a verifier that changes nothing on any dev item has nothing to teach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from instar.errors import DataError
from instar.evaluate.intervals import bootstrap_mean
from instar.evaluate.measures import mean_at_k
from instar.protocols import Predict
from instar.records import Decision, Interval, Mark, Report


class VerificationGap(Predict):
    """Skips a round when the upper end of the gap's interval is at or below ``minimum_gap`` (a share, not points)."""

    name: ClassVar[str] = "verification_gap"

    minimum_gap: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    def __call__(self, report: Report, accepted: Mapping[str, Sequence[bool]]) -> Decision:
        can, reason = self.can_help(gap_of(report, accepted, self.confidence))
        return Decision(item=report.policy, kept=can, reason=reason)

    def can_help(self, gap: Interval) -> tuple[bool, str]:
        """Whether a round may help with this gap, and the reason with the numbers."""
        can = gap.high > self.minimum_gap
        said = (
            f"generation-verification gap {100 * gap.value:+.1f} points ({100 * self.confidence:.4g} % interval "
            f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}, {gap.n} dev items)"
        )
        than = f"{100 * self.minimum_gap:.1f} points"
        if can:
            return True, f"{said}: more than {than} is not ruled out."
        return False, f"{said}: training on what the verifier keeps gains no more than {than}; the round is skipped."


def gap_of(report: Report, accepted: Mapping[str, Sequence[bool]], confidence: float = 0.95) -> Interval:
    """Score of the accepted samples minus score of all, over items. Raises DataError where a flag is missing."""
    kept = []
    for o in report.outcomes:
        flags = accepted.get(o.task, ())
        if len(flags) != len(o.marks):
            raise DataError(
                f"Task {o.task!r} has {len(o.marks)} samples and {len(flags)} of them were checked for training.",
                "Judge every dev sample with the round's verifier.",
            )
        right = [m is Mark.right for m, take in zip(o.marks, flags, strict=True) if take]
        kept.append(sum(right) / len(right) if right else o.score)
    return bootstrap_mean(np.array(kept) - mean_at_k(report.outcomes), confidence)
