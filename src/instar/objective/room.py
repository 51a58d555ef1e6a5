"""Room to learn: evaluation writes the next objective, from what the dev set says can still be learned.

Not from a paper; the survey (arXiv 2404.14387, eq. 7) asks for an evaluation that sets the next goal and names no rule.
The learnable band is 0.2 to 0.8 of samples right (methods.md 4.2; R-Zero and AZR use 0.3 to 0.7). Self-training can
reach what some sample already gets right, so room is pass@k minus the mean; a habit such as always answering "1" is
not skill, so room is counted above the best constant answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import ClassVar

from pydantic import Field

from instar.errors import DataError
from instar.protocols import Choose
from instar.records import Objective, Outcome, Report

STOP = "stop:"
"""What the reason of a root objective without tasks begins with."""


@dataclass(frozen=True)
class Standing:
    """How an ability stands on dev: share of samples right, pass@k, best constant answer, over so many items."""

    ability: str
    items: int
    k: int
    mean: float
    reach: float
    constant: float

    @property
    def family(self) -> str:
        return self.ability.partition("/")[0]

    @property
    def room(self) -> float:
        return max(0.0, self.reach - max(self.mean, self.constant))

    def __str__(self) -> str:
        return (
            f"{self.mean:.0%} of samples right on {self.items} dev items, pass@{self.k} {self.reach:.0%}, best "
            f"constant {self.constant:.0%}: room {100 * self.room:.1f} points"
        )


class RoomToLearn(Choose):
    """Splits the round's tasks over the settings with room: ``floor`` of the budget to each (less if that is more than
    all of it), the rest in proportion to room over the learnable ones.

    Learnable are the settings inside the band ``low`` to ``high``. A family without one moves its difficulty: all above
    the band, to its hardest; all below, to its easiest; on both sides, to the easiest of those below. Hard and easy are
    as measured, ties in the order of the dev set (which is the order of a reasoning_gym config). What has no room or
    has reached ``target`` is guarded and gets no task.

    It stops ("stop:" and 0 tasks at the root) when ``refusals`` gates in a row were refused, when every ability is at
    ``target``, when dev gained less than ``plateau`` over the last ``patience`` rounds, or when nothing has room.
    Objectives lapse after ``lasts`` rounds.

    Raises DataError for no report, and for a report with one sample an item (it shows no room).
    """

    name: ClassVar[str] = "room_to_learn"

    low: float = Field(default=0.2, ge=0, le=1)
    high: float = Field(default=0.8, ge=0, le=1)
    floor: float = Field(default=0.05, ge=0, le=1)
    target: float | None = Field(default=None, gt=0, le=1)
    plateau: float = Field(default=0.01, ge=0, le=1)
    patience: int = Field(default=2, ge=1)
    refusals: int = Field(default=2, ge=1)
    lasts: int = Field(default=1, ge=1)

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        if not reports:
            raise DataError("There is no dev report to choose from.", "Examine the policy on the dev set first.")
        now = standings(reports[-1])
        wins = self._wins(now)
        stop = self._stop(reports, refused, now, wins)
        shares = {} if stop else self._shares(now, wins, budget)
        expires = round + self.lasts - 1
        root = Objective(
            ability="*", metric=f"mean@{now[0].k}", target=self.target, tasks=sum(shares.values()), expires=expires,
            reason=stop or f"{_mean(reports[-1]):.1%} of samples right on dev; {len(shares)} of {len(now)} abilities "
            f"can improve and share {budget} tasks in proportion to their room.",
        )  # fmt: skip
        out = [root]
        for family in dict.fromkeys(s.family for s in now):
            own = [s for s in now if s.family == family]
            out += self._family(root, family, own, wins, shares)
        return out

    def _family(
        self, root: Objective, family: str, own: Sequence[Standing], wins: Mapping[str, str], shares: Mapping[str, int]
    ) -> list[Objective]:
        leaves = []
        alone = len(own) == 1 and own[0].ability == family
        for s in own:
            improves = s.ability in shares
            leaves.append(
                Objective(
                    ability=s.ability,
                    direction="improve" if improves else "guard",
                    metric=root.metric,
                    target=self.target,
                    tasks=shares.get(s.ability, 0),
                    expires=root.expires,
                    parent=root.ability if alone else family,
                    reason=f"{s}; {wins.get(s.ability) or self._why_guarded(s)}.",
                )
            )
        if alone:
            return leaves
        total = sum(leaf.tasks for leaf in leaves)
        named = ", ".join(f"{leaf.ability} {leaf.tasks}" for leaf in leaves if leaf.tasks) or "none: all are guarded"
        branch = root.model_copy(
            update={
                "ability": family,
                "direction": "improve" if total else "guard",
                "tasks": total,
                "parent": root.ability,
                "reason": f"{total} tasks over {len(own)} settings: {named}.",
            }
        )
        return [branch, *leaves]

    def _wins(self, now: Sequence[Standing]) -> dict[str, str]:
        """Ability to why it may have tasks, for every ability that can improve."""
        out: dict[str, str] = {}
        for family in dict.fromkeys(s.family for s in now):
            own = [s for s in now if s.family == family]
            best = self._learnable(own)
            for s in own:
                if self._open(s):
                    out[s.ability] = best.get(s.ability, f"outside the band {self._band}: only the floor share")
        return out

    def _learnable(self, own: Sequence[Standing]) -> dict[str, str]:
        """The settings of one family that share by room, with the reason."""
        inside = {s.ability: f"inside the band {self._band}" for s in own if self.low <= s.mean <= self.high}
        if inside:
            return inside
        # Python's sort is stable: equal means keep the order of the config, which is rising difficulty
        ladder = sorted((s for s in own if self._open(s)), key=lambda s: -s.mean)
        if not ladder:
            return {}
        below = [s for s in ladder if s.mean < self.low]
        if not below:
            return {ladder[-1].ability: f"all settings are above the band {self._band}: to the hardest of {len(own)}"}
        where = "all settings are below" if len(below) == len(ladder) else "the settings lie on both sides of"
        return {below[0].ability: f"{where} the band {self._band}: to the easiest below of {len(own)}"}

    def _open(self, s: Standing) -> bool:
        return s.room > 0 and not (self.target is not None and s.mean >= self.target)

    def _why_guarded(self, s: Standing) -> str:
        if self.target is not None and s.mean >= self.target:
            return f"the target of {self.target:.0%} is reached: only guarded"
        if not s.reach:
            return f"not one of {s.items * s.k} samples is right, so there is nothing to verify: only guarded"
        return "no room above what it does already: only guarded"

    def _shares(self, now: Sequence[Standing], wins: Mapping[str, str], budget: int) -> dict[str, int]:
        can = [s for s in now if s.ability in wins]
        learnable = {a for f in dict.fromkeys(s.family for s in now)
                     for a in self._learnable([s for s in now if s.family == f])}  # fmt: skip
        rooms = {s.ability: s.room if s.ability in learnable else 0.0 for s in can}
        if not sum(rooms.values()):
            rooms = {s.ability: s.room for s in can}
        least = min(self.floor, 1 / len(can))
        rest = 1 - least * len(can)
        return largest_remainder({a: least + rest * r / sum(rooms.values()) for a, r in rooms.items()}, budget)

    def _stop(
        self, reports: Sequence[Report], refused: int, now: Sequence[Standing], wins: Mapping[str, str]
    ) -> str | None:
        if refused >= self.refusals:
            return f"{STOP} {refused} gates in a row refused their candidate (the limit is {self.refusals})."
        if self.target is not None and all(s.mean >= self.target for s in now):
            worst = min(now, key=lambda s: s.mean)
            return (
                f"{STOP} the target of {self.target:.0%} is reached everywhere "
                f"(lowest: {worst.ability} at {worst.mean:.1%})."
            )
        if len(reports) > self.patience:
            gained = _mean(reports[-1]) - _mean(reports[-1 - self.patience])
            if gained < self.plateau:
                return (
                    f"{STOP} a plateau: dev gained {100 * gained:+.1f} points over the last {self.patience} rounds, "
                    f"less than {100 * self.plateau:.1f}."
                )
        if not wins:
            return f"{STOP} nothing to learn: none of {len(now)} abilities has room above what it does already."
        return None

    @property
    def _band(self) -> str:
        return f"{self.low:.0%} to {self.high:.0%}"


def standings(report: Report) -> list[Standing]:
    """How each ability stands, in the order of the report's items. Raises DataError if it cannot show room."""
    k = report.exam.n
    if not report.outcomes or k < 2:
        raise DataError(
            f"The {report.exam.suite} report has {len(report.outcomes)} items with {k} sample(s) each; "
            "room to learn is pass@k minus the mean, and needs at least 2.",
            "Set dev_exam.samples, and the samples of dev_exam.solve, to 4 or more.",
        )
    out = []
    for ability in dict.fromkeys(o.ability for o in report.outcomes):
        own = [o for o in report.outcomes if o.ability == ability]
        metrics = report.abilities.get(ability, {})
        constant = metrics["best_constant"].value if "best_constant" in metrics else 0.0
        reach = sum(o.score > 0 for o in own) / len(own)  # pass@k of k samples: at least one is right
        out.append(Standing(ability, len(own), k, _score(own), reach, constant))
    return out


def largest_remainder(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in proportion to the shares that sum to ``total`` exactly; ties go to the first."""
    whole = sum(shares.values())
    exact = {a: total * s / whole for a, s in shares.items()}
    out = {a: floor(x) for a, x in exact.items()}
    left = total - sum(out.values())
    for a in sorted(exact, key=lambda a: out[a] - exact[a])[:left]:
        out[a] += 1
    return out


def _score(outcomes: Sequence[Outcome]) -> float:
    return sum(o.score for o in outcomes) / len(outcomes)


def _mean(report: Report) -> float:
    return _score(report.outcomes)
