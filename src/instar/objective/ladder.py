"""The ladder: a mastered step opens the next, so that the tree of objectives is covered from its easy end.

Not from one paper. Curricula by mastery stand in Bloom's *Learning for Mastery* (1968); R-Zero and Absolute Zero keep
to what is within reach in another way, by a band of success. It differs from ``room_to_learn`` in what is out of reach:
that one gives a share wherever dev has some right answers; here nothing is spent on a step before those that it needs
are mastered, and what was mastered goes on getting a small share, or it would be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from instar.errors import ConfigError, DataError
from instar.objective.room import STOP, Standing, largest_remainder, standings
from instar.protocols import Choose
from instar.records import Objective, Report, Task


class Ladder(Choose):
    """Splits the round's tasks over the open steps that are not mastered, in proportion to p (1 - p) of what is right
    of them on dev (at least ``floor`` of it each); ``review`` of the budget goes to mastered ones, equally.

    A step is a setting; it needs those that ``needs`` names, by default the one of its family that was the next easier
    on the first dev report (what is equally hard there: the earlier in the dev set, which has the order of a
    reasoning_gym config). It is mastered while ``mastered`` of its samples are
    right, and opens for good in the round in which all that it needs was mastered at once. One that was mastered and
    fell is improved again. Closed steps get no task.

    It stops ("stop:" and 0 tasks at the root) when everything is mastered, and when ``refusals`` gates in a row were
    refused. Objectives lapse after their round. Raises DataError for no report, one with one sample an item, and where
    ``needs`` names what is not on dev.
    """

    name: ClassVar[str] = "ladder"

    mastered: float = Field(default=0.7, gt=0, le=1)
    review: float = Field(default=0.1, ge=0, lt=1)
    floor: float = Field(default=0.05, gt=0, le=1)
    refusals: int = Field(default=2, ge=1)
    needs: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("needs")
    @classmethod
    def _ends(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        left = {step: set(of) for step, of in value.items()}
        while free := [step for step, of in left.items() if not of & set(left)]:
            left = {step: of for step, of in left.items() if step not in free}
        if left:
            raise ValueError(f"{', '.join(left)} need each other, so none of them would ever open")
        return value

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        if dev := tasks.get("dev"):
            self._refuse_strangers([t.ability for t in dev], ConfigError)

    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]:
        if not reports:
            raise DataError("There is no dev report to choose from.", "Examine the policy on the dev set first.")
        now = standings(reports[-1])
        self._refuse_strangers([s.ability for s in now], DataError)
        needs = self._needed(standings(reports[0]))
        opened = {a for report in reports for a in self._open_by(standings(report), needs)}
        done = {s.ability for s in now if s.mean >= self.mastered}
        stop = self._stop(refused, now, done)
        shares = {} if stop else self._shares([s for s in now if s.ability in opened], done, budget)
        learning = [s.ability for s in now if s.ability in opened - done]
        root = Objective(
            ability="*", metric=f"mean@{now[0].k}", target=self.mastered, tasks=sum(shares.values()), expires=round,
            reason=stop or f"{len(done)} of {len(now)} steps are mastered ({self.mastered:.0%} right on dev); open: "
            f"{', '.join(learning)}.",
        )  # fmt: skip
        out = [root]
        for family in dict.fromkeys(s.family for s in now):
            own = [s for s in now if s.family == family]
            parent = root.ability
            if len(own) > 1 or own[0].ability != family:
                total, parent = sum(shares.get(s.ability, 0) for s in own), family
                improves = any(shares.get(s.ability) for s in own if s.ability in learning)
                out.append(_below(root, family, root.ability, total, improves, f"{total} tasks over {len(own)} steps."))
            for s in own:
                tasks = shares.get(s.ability, 0)
                why = f"{s}; {self._why(s, opened, done, needs, now)}."
                out.append(_below(root, s.ability, parent, tasks, tasks > 0 and s.ability in learning, why))
        return out

    def _needed(self, first: Sequence[Standing]) -> dict[str, tuple[str, ...]]:
        """What each step needs."""
        before: dict[str, str] = {}
        found: dict[str, tuple[str, ...]] = {}
        for s in sorted(first, key=lambda s: -s.mean):  # stable: equal means keep the order of the dev set
            easier = (before[s.family],) if s.family in before else ()
            found[s.ability] = tuple(self.needs.get(s.ability, easier))
            before[s.family] = s.ability
        return found

    def _open_by(self, then: Sequence[Standing], needs: Mapping[str, tuple[str, ...]]) -> list[str]:
        done = {s.ability for s in then if s.mean >= self.mastered}
        return [a for a, of in needs.items() if done.issuperset(of)]

    def _shares(self, opened: Sequence[Standing], done: set[str], budget: int) -> dict[str, int]:
        learning = {s.ability: max(self.floor, s.mean * (1 - s.mean)) for s in opened if s.ability not in done}
        known = [s.ability for s in opened if s.ability in done]
        review = self.review if known else 0.0
        whole = sum(learning.values())
        shares = {a: (1 - review) * w / whole for a, w in learning.items()}
        return largest_remainder(shares | {a: review / len(known) for a in known if review}, budget)

    def _why(
        self, s: Standing, opened: set[str], done: set[str], needs: Mapping[str, tuple[str, ...]],
        now: Sequence[Standing],
    ) -> str:  # fmt: skip
        if s.ability in done:
            kept = "guarded, and practised a little" if self.review else "guarded"
            return f"mastered ({self.mastered:.0%}): {kept}"
        before = needs[s.ability]
        if s.ability in opened:
            since = f"open, since {' and '.join(before)} was mastered" if before else "open from the start"
            return f"{since}: practised until {self.mastered:.0%} are right"
        means = {x.ability: x.mean for x in now}
        lacking = [f"{a} ({means[a]:.0%})" for a in before if a not in done]
        return f"closed until {' and '.join(lacking)} is mastered ({self.mastered:.0%})"

    def _stop(self, refused: int, now: Sequence[Standing], done: set[str]) -> str | None:
        if refused >= self.refusals:
            return f"{STOP} {refused} gates in a row refused their candidate (the limit is {self.refusals})."
        if len(done) == len(now):
            return f"{STOP} all {len(now)} steps are mastered ({self.mastered:.0%} right on dev)."
        return None

    def _refuse_strangers(self, there: Sequence[str], error: type[ConfigError | DataError]) -> None:
        named = [a for step, of in self.needs.items() for a in (step, *of)]
        if strange := [a for a in named if a not in there]:
            raise error(
                f"choose.needs names {strange[0]!r}, and no dev task is of that ability.",
                f"There are: {', '.join(dict.fromkeys(there))}.",
            )


def _below(root: Objective, ability: str, parent: str, tasks: int, improves: bool, reason: str) -> Objective:
    direction = "improve" if improves else "guard"
    return root.model_copy(
        update={"ability": ability, "parent": parent, "tasks": tasks, "direction": direction, "reason": reason}
    )
