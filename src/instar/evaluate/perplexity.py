"""The forgetting budget of plain text: how much the perplexity of held-out texts may rise, counted from the base.

As ``forgetting_budget`` it is non-inferiority with one bound (methods.md 5.2, point 3), never renewed, and fails
closed. It weighs log-probabilities, not marks, so a few hundred tokens say what hundreds of items would.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from instar.divergence import perplexity, rise, why_not_comparable
from instar.protocols import Gate
from instar.records import Check, Likelihood, Report, Verdict


class PerplexityBudget(Gate):
    """Passes only if the upper bound of the rise of perplexity from the *base*, relative, paired text by text and
    one-sided at ``confidence``, is at or under ``margin`` (5 % by default).

    It is weighed by ``weigh``; reports of exams have no log-probabilities, and none of them passes.
    """

    name: ClassVar[str] = "perplexity_budget"

    margin: float = Field(default=0.05, gt=0.0, lt=1.0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, allow_inf_nan=False)

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        reason = "perplexity_budget weighs log-probabilities, and was handed the marks of an exam."
        check = Check(name=incumbent.exam.suite, passed=False, reason=reason)
        return _verdict(incumbent, candidate, check)

    def weigh(self, base: Likelihood, candidate: Likelihood) -> Verdict:
        """What the texts say. Missing evidence means no."""
        if why := why_not_comparable(base, candidate):
            return _verdict(base, candidate, Check(name=base.suite, passed=False, reason=why))
        found = rise(base, candidate, 2 * self.confidence - 1)  # the upper end of it is the one-sided bound
        before, after = perplexity(base.texts), perplexity(candidate.texts)
        numbers = {
            "n": found.n, "before": before, "after": after, "rise": found.value, "bound": found.high,
            "margin": self.margin, "confidence": self.confidence,
        }  # fmt: skip
        passed = found.high <= self.margin
        reason = (
            f"{base.suite}: a perplexity of {before:.2f} by the base, {after:.2f} now; a rise of more than "
            f"{100 * self.margin:g} % since the base is {'' if passed else 'not '}ruled out (the bound is "
            f"{100 * found.high:+.1f} %, one-sided at {100 * self.confidence:g} %, n = {found.n} texts)."
        )
        return _verdict(base, candidate, Check(name=base.suite, passed=passed, numbers=numbers, reason=reason))


def _verdict(base: Report | Likelihood, candidate: Report | Likelihood, check: Check) -> Verdict:
    return Verdict(
        incumbent=base.policy,
        candidate=candidate.policy,
        incumbent_report=base.id,
        candidate_report=candidate.id,
        promoted=check.passed,
        checks=(check,),
        reason=check.reason if check.passed else f"Not promoted. {check.reason}",
    )
