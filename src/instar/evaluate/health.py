"""A round's health: what its answers look like, and the alarms that go off when a loop begins to fool itself.

Measures and rules: methods.md 4.1 to 4.3. An alarm compares this round with the one before. Where rounds train on
other tasks, only abilities that both have are compared, each weighed by the tasks that both rounds have of it: a harder
round is no collapse, and four tasks are no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar, NamedTuple

from pydantic import Field

from instar.evaluate import measures
from instar.evaluate.compare import paired_with, why_not_comparable
from instar.evaluate.vitals import vitals
from instar.protocols import Watch
from instar.records import Alarm, Experience, Health, Report


class Pair(NamedTuple):
    """A figure before and after; ``tasks`` behind each where they are other tasks, 0 where they are the same items."""

    before: float
    after: float
    tasks: int = 0

    @property
    def turned(self) -> Pair:
        return Pair(self.after, self.before, self.tasks)


class VitalSigns(Watch):
    """The figures of ``records.Health``, and five alarms.

    ``train`` and ``abilities`` are of the answers that the round sampled, so of the policy it began with, as is
    ``dev_before``; ``dev_after`` is of the policy it ended with. The reports may be None: what needs them is not known.

    Alarms: ``train_up_dev_down`` and ``margin_up_accuracy_down`` (both moved by more than ``slack``, in shares, and a
    share of the answers sampled also by more than ``z`` standard errors, since each round has other tasks);
    ``diversity_falling`` (distinct-2 or Vendi score lower by more than ``diversity_drop`` of itself, or answer entropy
    by as much while the score did not rise); ``length_drifting`` (mean or 95th percentile changed by more than
    ``length_drift`` of itself, either way); ``parse_rate_explains_the_gain`` (dev gained, but not among the items that
    could be read before and after). The defaults are judgement, not from a paper.
    """

    name: ClassVar[str] = "vital_signs"

    slack: float = Field(default=0.02, ge=0, le=1)
    z: float = Field(default=1.64, ge=0)
    diversity_drop: float = Field(default=0.2, gt=0, le=1)
    length_drift: float = Field(default=0.3, gt=0)

    def __call__(
        self,
        past: Sequence[Health],
        tries: Sequence[Experience],
        kept: Sequence[Experience],
        before: Report | None,
        after: Report | None,
    ) -> Health:
        groups: dict[str, list[Experience]] = {}
        for e in tries:
            groups.setdefault(e.task.ability, []).append(e)
        now = Health(
            policy=tries[0].solution.policy if tries else before.policy if before else "",
            train=vitals(tries),
            abilities={a: vitals(own) for a, own in sorted(groups.items())},
            kept=len(kept),
        ).model_copy(update=_dev(before, after))
        return now.model_copy(update={"alarms": tuple(self.alarms([*past, now]))})

    def alarms(self, history: Sequence[Health]) -> list[Alarm]:
        """Every rule on the newest health, raised or not, with its numbers."""
        now, last = history[-1], history[-2] if len(history) > 1 else None
        return [
            self._train_and_dev(last, now),
            self._margin(last, now),
            self._diversity(last, now),
            self._length(last, now),
            self._parse(now),
        ]

    def _train_and_dev(self, last: Health | None, now: Health) -> Alarm:
        train = pair(last, now, "score")
        dev = _both(last.dev_before if last else None, now.dev_before)
        raised = train is not None and dev is not None and self._up(train) and self._up(dev.turned)
        return _alarm("train_up_dev_down", raised, {"train": train, "dev": dev}, "rising train scores with falling dev")

    def _margin(self, last: Health | None, now: Health) -> Alarm:
        margin = pair(last, now, "vote_margin")
        right = pair(last, now, "vote_accuracy") or _both(last.dev_before if last else None, now.dev_before)
        raised = margin is not None and right is not None and self._up(margin) and self._up(right.turned)
        return _alarm("margin_up_accuracy_down", raised, {"margin": margin, "accuracy": right}, "surer and more wrong")

    def _diversity(self, last: Health | None, now: Health) -> Alarm:
        seen = {f: pair(last, now, f) for f in ("distinct_2", "vendi", "answer_entropy")}
        score = pair(last, now, "score")
        if score is not None and score.after - score.before > self.slack:
            seen.pop("answer_entropy")  # answers that agree because they became right are no collapse
        raised = any(p is not None and p.after < p.before * (1 - self.diversity_drop) for p in seen.values())
        return _alarm("diversity_falling", raised, seen, f"a fall of more than {self.diversity_drop:.0%}")

    def _length(self, last: Health | None, now: Health) -> Alarm:
        seen = {f: pair(last, now, f) for f in ("length_mean", "length_p95")}
        raised = any(
            p is not None and p.before > 0 and abs(p.after / p.before - 1) > self.length_drift for p in seen.values()
        )
        return _alarm("length_drifting", raised, seen, f"a change of more than {self.length_drift:.0%}")

    def _parse(self, now: Health) -> Alarm:
        dev, parsed = _both(now.dev_before, now.dev_after), _both(now.parse_before, now.parse_after)
        gain = now.gain_read_twice
        raised = dev is not None and gain is not None and self._up(dev) and gain <= 0
        found = _alarm("parse_rate_explains_the_gain", raised, {"dev": dev, "parse_rate": parsed},
                       "a gain without one on the items read both times")  # fmt: skip
        said = "not known" if gain is None else f"{100 * gain:+.1f} points"
        return found.model_copy(
            update={
                "numbers": {**found.numbers, "gain_read_twice": gain},
                "reason": f"{found.reason} Among items read before and after: {said}.",
            }
        )

    def _up(self, seen: Pair) -> bool:
        p = (seen.before + seen.after) / 2
        noise = self.z * sqrt(2 * p * (1 - p) / seen.tasks) if seen.tasks else 0.0
        return seen.after - seen.before > max(self.slack, noise)


def pair(last: Health | None, now: Health, figure: str) -> Pair | None:
    """A figure in two rounds, over the abilities that have it in both; None if there is none."""
    both = []
    for ability in last.abilities if last else ():
        one, two = last.abilities[ability] if last else None, now.abilities.get(ability)
        before, after = getattr(one, figure, None), getattr(two, figure, None)
        if one and two and before is not None and after is not None:
            both.append((min(one.tasks, two.tasks), before, after))
    tasks = sum(n for n, _, _ in both)
    if not tasks:
        return None
    return Pair(sum(n * b for n, b, _ in both) / tasks, sum(n * a for n, _, a in both) / tasks, tasks)


def _dev(before: Report | None, after: Report | None) -> dict[str, float | int | None]:
    out: dict[str, float | int | None] = {}
    both = [o for report in (before, after) if report is not None for o in report.outcomes]
    told = measures.names_answers(both)
    for name, report in (("before", before), ("after", after)):
        if report is not None:
            out[f"dev_{name}"] = float(measures.mean_at_k(report.outcomes).mean())
            if told:
                out[f"parse_{name}"] = float(measures.parse_rate(report.outcomes).mean())
    if before is None or after is None or why_not_comparable(before, after):
        return out
    ours, theirs = before.outcomes, paired_with(before.outcomes, after.outcomes)
    x, y = measures.mean_at_k(ours), measures.mean_at_k(theirs)
    read = (measures.parse_rate(ours) == 1) & (measures.parse_rate(theirs) == 1)
    gain = float((y - x)[read].mean()) if told and read.any() else None
    return {
        **out,
        "gain_read_twice": gain,
        "newly_right": int((y > x).sum()),
        "newly_wrong": int((y < x).sum()),
    }


def _both(a: float | None, b: float | None) -> Pair | None:
    return None if a is None or b is None else Pair(a, b)


def _alarm(name: str, raised: bool, seen: dict[str, Pair | None], meaning: str) -> Alarm:
    numbers: dict[str, float | None] = {}
    said = []
    for figure, p in seen.items():
        numbers |= {f"{figure}_before": p.before if p else None, f"{figure}_after": p.after if p else None}
        said.append(f"{figure} {p.before:.3g} -> {p.after:.3g}" if p else f"{figure} not known in both")
    said.append(f"{'raised' if raised else 'not raised'}: the rule is {meaning}")
    return Alarm(name=name, raised=raised, numbers=numbers, reason="; ".join(said) + ".")
