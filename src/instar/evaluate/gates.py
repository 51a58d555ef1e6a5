"""The gate: a candidate replaces the incumbent only if a paired test on the same items says that it is better.

It fails closed. What cannot be compared, has no items, or is not a finite number is a "no" with its reason.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from math import isfinite
from typing import ClassVar, Literal

from pydantic import Field

from instar.evaluate.compare import Change, change, paired_with, why_not_comparable
from instar.evaluate.intervals import paired_bootstrap, smallest_detectable
from instar.evaluate.measures import by_ability
from instar.protocols import Gate
from instar.records import Check, Report, Verdict


class PairedGate(Gate):
    """Promote if the lower bound of the paired gain is above ``minimum_effect`` and each guarded ability's is at or
    above ``-guard_margin`` (methods.md 5.2, points 2 and 3).

    Scores are the share of right samples an item; bounds are the lower ends of two-sided paired bootstrap intervals at
    ``confidence`` (so at 0.95 a useless candidate passes about 1 time in 40). ``guarded`` None guards every ability in
    the exam; ``()`` guards none. The default margin is wide because an ability has 50-100 items in a small exam: each
    check's reason states the smallest drop that this many items can show. McNemar's p is reported and decides nothing.

    ``correction`` is "none" by default: *all* guards must pass, so a candidate that harms one ability gets through only
    if that ability's own test errs, and more guards never make this likelier (an intersection-union test).
    "bonferroni" shares 1 - confidence among the guards and so makes each stricter: choose it where the guards' bounds
    are to hold all at once. Neither corrects for using one gate set in many rounds: give each round fresh items.
    """

    name: ClassVar[str] = "paired_gate"

    minimum_effect: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, allow_inf_nan=False)
    guard_margin: float = Field(default=0.15, ge=0.0, lt=1.0, allow_inf_nan=False)
    guarded: tuple[str, ...] | None = None
    correction: Literal["bonferroni", "none"] = "none"

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        """The verdict with every test's numbers. Never raises on what a report holds: missing evidence is a no."""
        refusal = why_not_comparable(incumbent, candidate)
        checks = (
            (Check(name="comparable", passed=False, reason=refusal),)
            if refusal is not None
            else self._checks(incumbent, candidate)
        )
        failed = [c for c in checks if not c.passed]
        return Verdict(
            incumbent=incumbent.policy,
            candidate=candidate.policy,
            incumbent_report=incumbent.id,
            candidate_report=candidate.id,
            promoted=not failed,
            checks=checks,
            reason=_in_words(checks),
        )

    def blind_to(self, items: Mapping[str, int]) -> dict[str, int]:
        """Guarded abilities whose guard cannot pass even if not one of their ``items`` changes: there are too few to
        rule out a drop of the margin. Ability -> items."""
        guarded = items if self.guarded is None else [a for a in self.guarded if a in items]
        sure = 1 - (1 - self.confidence) / (len(guarded) or 1) if self.correction == "bonferroni" else self.confidence
        return {a: items[a] for a in guarded if items[a] < 1 or _unchanged(items[a], sure) < -self.guard_margin}

    def _checks(self, incumbent: Report, candidate: Report) -> tuple[Check, ...]:
        before, after = incumbent.outcomes, paired_with(incumbent.outcomes, candidate.outcomes)
        owned = by_ability(before)
        guarded = tuple(dict.fromkeys(owned if self.guarded is None else self.guarded))
        # one test's share of the allowed error; the division is the whole of Bonferroni's correction
        sure = 1 - (1 - self.confidence) / (len(guarded) or 1) if self.correction == "bonferroni" else self.confidence
        checks = [
            Check(name="comparable", passed=True, numbers={"n": len(before)}, reason="Same exam, same items."),
            self._gain(change(before, after, self.confidence)),
        ]
        for ability in guarded:
            own = owned.get(ability)
            if own:
                checks.append(self._guard(ability, change(own, paired_with(own, after), sure), sure))
            else:
                reason = f"Guarded ability {ability!r} is not in this exam (it has: {', '.join(owned)})."
                checks.append(Check(name=f"guard:{ability}", passed=False, numbers={"n": 0}, reason=reason))
        return tuple(checks)

    def _gain(self, found: Change) -> Check:
        seen = smallest_detectable(found.n, found.discordance)
        passed = isfinite(found.low) and found.low > self.minimum_effect
        reason = (
            f"Gain {_points(found, self.confidence)} on {found.n} items: the lower bound is"
            f" {'' if passed else 'not '}above the minimum effect of {_pt(self.minimum_effect)};"
            f" the smallest change these items can show is {100 * seen:.1f} points."
        )
        numbers = {**_numbers(found, seen, self.confidence), "minimum_effect": _known(self.minimum_effect)}
        return Check(name="gain", passed=passed, numbers=numbers, reason=reason)

    def _guard(self, ability: str, found: Change, sure: float) -> Check:
        seen = smallest_detectable(found.n, found.discordance)
        passed = isfinite(found.low) and found.low >= -self.guard_margin
        reason = (
            f"{ability}: {_points(found, sure)} on {found.n} items; a drop of more than {100 * self.guard_margin:.1f}"
            f" points is {'' if passed else 'not '}ruled out;"
            f" the smallest drop these items can show is {100 * seen:.1f} points."
        )
        numbers = {**_numbers(found, seen, sure), "guard_margin": _known(self.guard_margin)}
        return Check(name=f"guard:{ability}", passed=passed, numbers=numbers, reason=reason)


def _in_words(checks: tuple[Check, ...]) -> str:
    """The verdict in words: the gain always, then the guards that failed, the first two in full."""
    if all(c.passed for c in checks):
        return f"Promoted. {checks[1].reason}"
    gain, guards = checks[1:2], [c for c in checks[2:] if not c.passed]
    more = [f"{len(guards) - 2} more guards fail: {', '.join(c.name.removeprefix('guard:') for c in guards[2:])}."]
    told = [c.reason for c in (*(gain or checks), *guards[:2])] + (more if len(guards) > 2 else [])
    return " ".join(["Not promoted.", *told])


@functools.cache
def _unchanged(n: int, confidence: float) -> float:
    """The lower bound of a change that did not happen, on n items."""
    return paired_bootstrap([0.0] * n, [0.0] * n, confidence).low


def _numbers(found: Change, seen: float, confidence: float) -> Mapping[str, float | None]:
    fields = ("n", "before", "after", "gain", "low", "high", "p", "newly_right", "newly_wrong", "best_constant")
    numbers = {f: _known(getattr(found, f)) for f in fields}
    return {**numbers, "confidence": confidence, "smallest_detectable": seen}


def _known(value: float | None) -> float | None:
    """Records hold no NaN: what is not a number is not known."""
    return value if value is not None and isfinite(value) else None


def _points(found: Change, confidence: float) -> str:
    return f"{_pt(found.gain)} points ({100 * confidence:.4g} % interval {_pt(found.low)} to {_pt(found.high)})"


def _pt(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
