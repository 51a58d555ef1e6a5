"""The sequential gate: it looks at its items batch after batch, and stops asking as soon as the answer is sure.

Each test is a bet against what must not be (``evaluate.betting``): that the candidate gains no more than the minimum
effect, that a guarded ability lost its margin. Why, and what was rejected: docs/design/0015-sequential-gate.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from instar.evaluate import measures
from instar.evaluate.betting import confidence_sequence, e_process
from instar.evaluate.compare import paired_with, why_not_comparable
from instar.evaluate.gates import PairedGate
from instar.evaluate.measures import FloatArray, by_ability
from instar.protocols import Gate, StoppingGate
from instar.records import Check, Report, Task, Verdict, hash_of

SHOWN_GAIN = 0.2
"""The gain that the cap must be able to show, or the fixed test is taken: a tenth of the items fall and three tenths
rise."""
SHOWN_OFTEN = 0.8
TRIALS = 1_000
FARTHEST = 1_000
"""Candidates and items of the simulation that says what a cap can show."""
NEVER = 1 << 60
"""The item at which what does not happen happens."""


class Bet(NamedTuple):
    """One test after all its items: the most that its capital came to, at which item of all it was sure that what must
    not be is not (``won``), and at which it was sure that it is (``lost``); ``NEVER`` where it was not."""

    changes: FloatArray
    capital: float
    won: int
    lost: int


class SequentialGate(StoppingGate):
    """Promote as soon as a bet against "no gain above ``minimum_effect``" has multiplied its capital by ``1 / alpha``,
    and each guarded ability's bet against "it lost ``guard_margin``" has too (methods-2.md B; arXiv 2010.09686).

    ``alpha`` is ``error`` divided by ``rounds``: over all rounds of a run, at most that share of runs promotes any
    candidate that is no better. ``rounds``, ``seed`` and ``cap`` are fixed by the run before the first item is examined
    (``begun``): its rounds, its seed, the items of the round. Items come in an order drawn from the seed, abilities
    mixed: one ability after the other would let a loser through. A round that runs out of items is refused; so is, at
    once, a candidate of which the mirrored bet is sure that it does not gain ``worth`` or more than the minimum effect,
    or that it lost a guarded ability's margin. ``worth`` above 0 saves items and lets small gains go.

    What the stopped sample gained is nowhere shown (it stopped *because* it had gained): the ends are those of a
    confidence sequence, which holds wherever one stops, at ``1 - 2 * alpha``.
    """

    name: ClassVar[str] = "sequential_gate"

    minimum_effect: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    error: float = Field(default=0.05, gt=0.0, lt=0.25, allow_inf_nan=False)
    guard_margin: float = Field(default=0.15, ge=0.0, lt=1.0, allow_inf_nan=False)
    guarded: tuple[str, ...] | None = None
    worth: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    batch: int = Field(default=25, ge=1)
    cap: int | None = Field(default=None, ge=1)
    rounds: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)

    @property
    def alpha(self) -> float:
        """The error of one round."""
        return self.error / (self.rounds or 1)

    def begun(self, tasks: Sequence[Task], *, rounds: int, seed: int) -> Gate:
        """This gate with what one decision of a run fixes beforehand; the fixed test of the same error where so few
        items cannot show a gain of 20 points in four of five tries."""
        cap = min(len(tasks), self.cap or len(tasks))
        mine = self.model_copy(update={"cap": cap, "rounds": self.rounds or rounds, "seed": seed})
        if mine.power() < SHOWN_OFTEN:
            return mine.fixed()
        # by name: the first items may hold none of an ability that is to be guarded
        there = tuple(sorted({t.ability for t in tasks}))
        return mine.model_copy(update={"guarded": there}) if self.guarded is None else mine

    def power(self) -> float:
        """The share of candidates with a gain of 20 points that the gain's bet promotes within the cap, simulated."""
        return float((_shown(self.alpha, self.minimum_effect) <= (self.cap or 0)).mean())

    def fewest(self) -> int | None:
        """The smallest cap that is large enough not to take the fixed test; None where ``FARTHEST`` items are not."""
        item = _shown(self.alpha, self.minimum_effect)[int(np.ceil(SHOWN_OFTEN * TRIALS)) - 1]
        return int(item) if np.isfinite(item) else None

    def fixed(self) -> PairedGate:
        """The fixed test that asks the same with the same error in a round."""
        return PairedGate(
            minimum_effect=self.minimum_effect, confidence=1 - 2 * self.alpha, guard_margin=self.guard_margin,
            guarded=self.guarded,
        )  # fmt: skip

    def ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """The order in which they are examined, up to the cap: drawn from the seed and the tasks' ids alone."""
        return sorted(tasks, key=lambda t: self._place(t.id))[: self.cap]

    def decided(self, incumbent: Report, candidate: Report) -> bool:
        """Whether what was examined so far decides, or cannot be compared."""
        if why_not_comparable(incumbent, candidate) is not None:
            return True
        bets = self._bets(incumbent, candidate)
        return _settled(bets) or len(incumbent.outcomes) >= (self.cap or 0)

    def blind_to(self, items: Mapping[str, int]) -> dict[str, int]:
        """Guarded abilities whose guard cannot pass even if not one of their ``items`` changes. Ability -> items."""
        guarded = items if self.guarded is None else [a for a in self.guarded if a in items]
        return {a: items[a] for a in guarded if items[a] < 1 or _still(items[a], self.guard_margin) < 1 / self.alpha}

    def __call__(self, incumbent: Report, candidate: Report) -> Verdict:
        """The verdict with every test's numbers. Never raises on what a report holds: missing evidence is a no."""
        refusal = why_not_comparable(incumbent, candidate)
        if refusal is not None:
            checks: tuple[Check, ...] = (Check(name="comparable", passed=False, reason=refusal),)
        else:
            checks = self._checks(incumbent, self._bets(incumbent, candidate))
        promoted = all(c.passed for c in checks)
        return Verdict(
            incumbent=incumbent.policy,
            candidate=candidate.policy,
            incumbent_report=incumbent.id,
            candidate_report=candidate.id,
            promoted=promoted,
            checks=checks,
            reason=" ".join([f"{'Promoted' if promoted else 'Not promoted'}{_when(checks)}.", *_told(checks)]),
        )

    def _place(self, task: str) -> str:
        return hash_of("gate order", self.seed or 0, task)

    def _bets(self, incumbent: Report, candidate: Report) -> dict[str, Bet | None]:
        """ "gain" and each guarded ability to its bet; None for one that is not among the items."""
        before = sorted(incumbent.outcomes, key=lambda o: self._place(o.task))
        after = paired_with(before, candidate.outcomes)
        at = {o.task: i for i, o in enumerate(before, 1)}
        changes = measures.mean_at_k(after) - measures.mean_at_k(before)
        worth = max(self.minimum_effect, self.worth)
        bets: dict[str, Bet | None] = {"gain": self._bet(changes, [*at.values()], self.minimum_effect, worth)}
        owned = by_ability(before)
        for ability in dict.fromkeys(owned if self.guarded is None else self.guarded):
            places = [at[o.task] for o in owned.get(ability, ())]
            own = changes[np.array(places, dtype=int) - 1]
            margin = -self.guard_margin
            bets[f"guard:{ability}"] = self._bet(own, places, margin, margin) if places else None
        return bets

    def _bet(self, changes: FloatArray, at: Sequence[int], null: float, worth: float) -> Bet:
        """``at``: the place of each change among all items."""
        enough = 1 / self.alpha
        up, down = e_process(changes, null), e_process(-changes, -worth)
        return Bet(changes, float(up.max()), _first(up >= enough, at), _first(down >= enough, at))

    def _checks(self, incumbent: Report, bets: Mapping[str, Bet | None]) -> tuple[Check, ...]:
        n = len(incumbent.outcomes)
        cap = self.cap or n
        won, lost = _ends(bets)
        if n > cap or (n < cap and min(won, lost) == NEVER):
            reason = f"{n} items were examined without a decision, and the cap is {cap}."
            return (Check(name="comparable", passed=False, numbers={"n": n, "cap": cap}, reason=reason),)
        refused = lost < won
        numbers: dict[str, float | None] = {"n": n, "cap": cap, "decided_at": _known(min(won, lost))}
        checks = [Check(name="comparable", passed=True, numbers=numbers, reason="Same exam, same items.")]
        for name, bet in bets.items():
            if bet is None:
                ability = name.removeprefix("guard:")
                owned = ", ".join(by_ability(incumbent.outcomes))
                reason = f"Guarded ability {ability!r} is not among these items (they have: {owned})."
                checks.append(Check(name=name, passed=False, numbers={"n": 0}, reason=reason))
            else:
                checks.append(self._check(name, bet, n, cap, refused=refused and bet.lost <= lost))
        return tuple(checks)

    def _check(self, name: str, bet: Bet, n: int, cap: int, *, refused: bool) -> Check:
        """One bet in words. ``refused``: it is what ended the round, so what it won later does not count."""
        passed = bet.won < NEVER and not refused
        low, high = confidence_sequence(bet.changes, self.alpha)
        gain, enough = name == "gain", 1 / self.alpha
        null = self.minimum_effect if gain else -self.guard_margin
        what = "Gain" if gain else f"{name.removeprefix('guard:')}: change"
        if refused:
            limit = max(self.minimum_effect, self.worth) if gain else null
            how = f"surely below {_pt(limit)} points after {bet.lost} of at most {cap} items"
        elif passed:
            how = f"above {_pt(null)} points after {bet.won} of at most {cap} items (the bet came to {enough:g} times"
            how += " its stake)"
        else:
            how = f"not shown to be above {_pt(null)} points in {n} of at most {cap} items (the bet came to"
            how += f" {bet.capital:.3g} times its stake; {enough:g} were wanted)"
        sure = f"{100 * (1 - 2 * self.alpha):.4g} % interval {_pt(low)} to {_pt(high)}, wherever one stops"
        numbers: dict[str, float | None] = {
            "n": len(bet.changes), "cap": cap, "capital": bet.capital, "wanted": enough, "low": low, "high": high,
            "confidence": 1 - 2 * self.alpha, "decided_at": _known(bet.lost if refused else bet.won),
            "newly_right": int((bet.changes > 0).sum()), "newly_wrong": int((bet.changes < 0).sum()),
            "minimum_effect" if gain else "guard_margin": abs(null),
        }  # fmt: skip
        return Check(name=name, passed=passed, numbers=numbers, reason=f"{what} {how}; {sure}.")


def _ends(bets: Mapping[str, Bet | None]) -> tuple[int, int]:
    """At which item all bets were won, and at which the first was lost."""
    won = max(NEVER if b is None else b.won for b in bets.values())
    return won, min(b.lost for b in bets.values() if b is not None)


def _settled(bets: Mapping[str, Bet | None]) -> bool:
    return min(_ends(bets)) < NEVER


def _first(there: NDArray[np.bool_], at: Sequence[int]) -> int:
    return at[int(np.argmax(there))] if there.any() else NEVER


def _known(item: int) -> int | None:
    return item if item < NEVER else None


def _when(checks: Sequence[Check]) -> str:
    """After how many items it was decided, and how many were examined."""
    numbers = checks[0].numbers
    at, n, cap = (numbers.get(k) for k in ("decided_at", "n", "cap"))
    if n is None or cap is None or not checks[0].passed:
        return ""
    return (
        f" when all {n:.0f} items were used up" if at is None else f" after {at:.0f} items ({n:.0f} of {cap:.0f} asked)"
    )


def _told(checks: Sequence[Check]) -> list[str]:
    """The gain always, then the guards that failed, the first two in full."""
    gain, guards = checks[1:2], [c for c in checks[2:] if not c.passed]
    more = [f"{len(guards) - 2} more guards fail: {', '.join(c.name.removeprefix('guard:') for c in guards[2:])}."]
    return [c.reason for c in (*(gain or checks), *guards[:2])] + (more if len(guards) > 2 else [])


def _pt(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"


@cache
def _still(items: int, margin: float) -> float:
    """What a guard's capital comes to on items none of which changes."""
    return float(e_process(np.zeros(items), -margin).max())


@cache
def _shown(alpha: float, null: float) -> FloatArray:
    """At which item a gain of 20 points is shown, for each of ``TRIALS`` simulated candidates, in order; infinite where
    ``FARTHEST`` items do not show it."""
    luck = np.random.default_rng(20240422).random((TRIALS, FARTHEST))
    falls, rises = 0.1, 0.1 + SHOWN_GAIN
    changes = np.where(luck < rises, 1.0, np.where(luck < rises + falls, -1.0, 0.0))
    there = e_process(changes, null) >= 1 / alpha
    found: FloatArray = np.sort(np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf))
    return found
