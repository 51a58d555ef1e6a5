"""Two reports on one exam, item by item: what was gained, how sure that is, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from instar.evaluate import measures
from instar.evaluate.intervals import mcnemar_p, paired_bootstrap
from instar.records import Mark, Outcome, Report


class Change(BaseModel):
    """The paired change over ``n`` items: fractions, not points.

    An item's score is the share of its samples that are right, so with one sample an item ``newly_right`` is "wrong
    before, right now" and ``p`` is McNemar's exact test. With more samples they count items whose score rose or fell,
    and p is the sign test over those. ``both_right`` and ``both_wrong`` count items with full, or no, credit twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int
    before: float
    after: float
    gain: float
    low: float
    high: float
    p: float
    newly_right: int
    newly_wrong: int
    both_right: int
    both_wrong: int
    discordance: float
    """Mean squared change of an item's score: with one sample, the share of items that changed."""
    parse_before: float
    parse_after: float
    best_constant: float | None
    """Accuracy of the best single answer on these items; None where no gold answer is known."""


class Comparison(BaseModel):
    """Report ``b`` against report ``a``. Where they cannot be compared, ``refusal`` says why and no number is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy_a: str
    policy_b: str
    refusal: str | None = None
    n: int = 0
    before: float | None = None
    after: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    newly_right: int | None = None
    newly_wrong: int | None = None
    both_right: int | None = None
    both_wrong: int | None = None
    discordance: float | None = None
    parse_before: float | None = None
    parse_after: float | None = None
    best_constant: float | None = None
    abilities: Mapping[str, Change] = Field(default_factory=dict)


def compare(a: Report, b: Report, *, confidence: float = 0.95) -> Comparison:
    """``b`` minus ``a``, in all and per ability, with paired bootstrap intervals over items."""
    refusal = why_not_comparable(a, b)
    if refusal is not None:
        return Comparison(policy_a=a.policy, policy_b=b.policy, refusal=refusal)
    before, after = a.outcomes, paired_with(a.outcomes, b.outcomes)
    overall = change(before, after, confidence)
    abilities = {
        ability: change(own, paired_with(own, after), confidence)
        for ability, own in measures.by_ability(before).items()
    }
    return Comparison(policy_a=a.policy, policy_b=b.policy, abilities=abilities, **overall.model_dump())


def why_not_comparable(a: Report, b: Report) -> str | None:
    """None if every item of one report has its like in the other; else a sentence that says what differs."""
    fields = [f for f in type(a.exam).model_fields if f != "id" and getattr(a.exam, f) != getattr(b.exam, f)]
    if fields:
        differ = ", ".join(f"{f} {getattr(a.exam, f)!r} and {getattr(b.exam, f)!r}" for f in fields)
        return f"The reports are of different exams: {differ}."
    for name, report in (("first", a), ("second", b)):
        gap = _gap(report)
        if gap is not None:
            return f"The {name} report (policy {report.policy!r}) {gap}."
    ours, theirs = {o.task: o for o in a.outcomes}, {o.task: o for o in b.outcomes}
    if ours.keys() != theirs.keys():
        return (
            f"The reports hold different items: {len(ours.keys() - theirs.keys())} are only in the first and"
            f" {len(theirs.keys() - ours.keys())} only in the second."
        )
    moved = [t for t, o in ours.items() if (o.ability, o.gold) != (theirs[t].ability, theirs[t].gold)]
    if moved:
        return (
            f"{len(moved)} items have another ability or gold answer in the second report (first: task {moved[0]!r})."
        )
    return None


def paired_with(these: Sequence[Outcome], others: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes among ``others`` of the same tasks as ``these``, in the same order."""
    by_task = {o.task: o for o in others}
    return [by_task[o.task] for o in these]


def change(before: Sequence[Outcome], after: Sequence[Outcome], confidence: float = 0.95) -> Change:
    """The paired change of aligned outcomes (see ``paired_with``). Raises DataError if there are none."""
    x, y = measures.mean_at_k(before), measures.mean_at_k(after)
    gain = paired_bootstrap(x, y, confidence)
    rose, fell = int(np.sum(y > x)), int(np.sum(y < x))
    constant = measures.best_constant(before)
    return Change(
        n=len(x),
        before=float(x.mean()),
        after=float(y.mean()),
        gain=gain.value,
        low=gain.low,
        high=gain.high,
        p=mcnemar_p(rose, fell),
        newly_right=rose,
        newly_wrong=fell,
        both_right=int(np.sum((x == 1) & (y == 1))),
        both_wrong=int(np.sum((x == 0) & (y == 0))),
        discordance=float(np.mean((y - x) ** 2)),
        parse_before=float(measures.parse_rate(before).mean()),
        parse_after=float(measures.parse_rate(after).mean()),
        best_constant=None if constant is None else constant[1],
    )


def _gap(report: Report) -> str | None:
    if not report.outcomes:
        return "holds no outcomes"
    twice = [t for t, count in Counter(o.task for o in report.outcomes).items() if count > 1]
    if twice:
        return f"holds {len(twice)} items twice (first: task {twice[0]!r})"
    short = [o for o in report.outcomes if not len(o.marks) == len(o.answers) == len(o.tokens) == max(1, report.exam.n)]
    if short:
        return f"has {len(short)} items without exactly {report.exam.n} samples (first: task {short[0].task!r})"
    open_marks = [o for o in report.outcomes if any(m not in (Mark.right, Mark.wrong) for m in o.marks)]
    if open_marks:
        return f"has {len(open_marks)} items with a sample that was never scored (first: task {open_marks[0].task!r})"
    return None
