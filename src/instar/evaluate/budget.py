"""The forgetting budget: how much of a guarded ability a candidate may lose, counted from the base and never renewed.

Non-inferiority with one bound (methods.md 5.2, point 3). A guard that compares with the last policy lets an ability go
in small steps, each within its margin; this one compares with the base in every round, so that what was spent once is
spent. It fails closed: reports that cannot be compared refuse the candidate.
"""

from __future__ import annotations

from math import isfinite
from typing import ClassVar

from pydantic import Field

from instar.evaluate.compare import change, paired_with, why_not_comparable
from instar.protocols import Gate
from instar.records import Check, Report, Verdict


class ForgettingBudget(Gate):
    """Passes only if the lower bound of the change from the *base* on a guard, one-sided at ``confidence``, is at or
    above ``-margin`` (3 points by default). A guard counts only where the base is at least ``above_constant`` better
    than always giving one answer: what it cannot do it cannot forget. Where it does not count, it passes and says so.

    The incumbent it is handed is the base's report, whoever the incumbent of the round is.
    """

    name: ClassVar[str] = "forgetting_budget"

    margin: float = Field(default=0.03, ge=0.0, lt=1.0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, allow_inf_nan=False)
    above_constant: float = Field(default=0.15, ge=0.0, lt=1.0, allow_inf_nan=False)

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        check = self._check(incumbent, candidate)
        return Verdict(
            incumbent=incumbent.policy,
            candidate=candidate.policy,
            incumbent_report=incumbent.id,
            candidate_report=candidate.id,
            promoted=check.passed,
            checks=(check,),
            reason=check.reason if check.passed else f"Not promoted. {check.reason}",
        )

    def _check(self, base: Report, candidate: Report) -> Check:
        suite = base.exam.suite
        refusal = why_not_comparable(base, candidate)
        if refusal is not None:
            return Check(name=suite, passed=False, reason=refusal)
        before, after = base.outcomes, paired_with(base.outcomes, candidate.outcomes)
        found = change(before, after, 2 * self.confidence - 1)  # the lower end of it is the one-sided bound
        constant = found.best_constant or 0.0
        numbers = {
            "n": found.n, "before": found.before, "after": found.after, "drop": -found.gain, "bound": -found.low,
            "margin": self.margin, "best_constant": constant, "confidence": self.confidence,
        }  # fmt: skip
        if found.before < constant + self.above_constant:
            reason = (
                f"{suite} does not count: the base is right on {_pc(found.before)}, always giving one answer on "
                f"{_pc(constant)}."
            )
            return Check(name=suite, passed=True, numbers=numbers, reason=reason)
        passed = isfinite(found.low) and found.low >= -self.margin
        reason = (
            f"{suite}: {_pc(found.before)} by the base, {_pc(found.after)} now; a loss of more than "
            f"{100 * self.margin:g} points since the base is {'' if passed else 'not '}ruled out (the bound is "
            f"{-100 * found.low:+.1f} points, one-sided at {100 * self.confidence:g} %, n = {found.n})."
        )
        return Check(name=suite, passed=passed, numbers=numbers, reason=reason)


def _pc(share: float) -> str:
    return f"{100 * share:.1f} %"
