"""The measure of this folder: two sides do the same work in turns (A B A B ...), and the ratio of each pair counts.

Load on a shared machine drifts by tens of percent within minutes; two neighbours in time see nearly the same machine,
so the ratio within a pair is steadier than the ratio of two medians.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

Say = Callable[[str], None]
QUIET = 0.1
"""A pair counts if others took less of the machine than this while it was measured (see ``bench.others``)."""
TRIES = 3
"""Pairs measured for each that is wanted, before a busy machine is given up on."""


@dataclass(frozen=True)
class Reading:
    """One piece of work done by one side: ``value`` in the row's unit, and what else was seen."""

    value: float
    seconds: float
    detail: Mapping[str, Any] = field(default_factory=dict)


class Side(Protocol):
    """One of the two that are compared. ``run`` may be called often; only one side runs at a time."""

    name: str
    """Who, and with what settings: "transformers, bf16, batch 64"."""

    def open(self) -> None: ...

    def run(self, work: Mapping[str, Any]) -> Reading: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What a row found. ``ratio`` is the median of the pairs' ratios, ``low`` and ``high`` the least and the greatest.

    A row that compares by a difference (a gain in points) puts the difference in ``ratio`` and says so in ``unit``.
    """

    key: str
    title: str
    ratio: float
    low: float
    high: float
    target: float | None
    """None for a row that is reported without a promise."""
    at_least: bool
    unit: str
    ours: str
    theirs: str
    ours_median: float
    theirs_median: float
    ours_readings: tuple[Reading, ...]
    theirs_readings: tuple[Reading, ...]
    share_of_limit: float | None = None
    """Our part of what this machine's measured matrix-product rate would allow; None where that says nothing."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


class Row(Protocol):
    """One benchmark. Every module in ``bench/rows`` has a list ``ROWS`` of them."""

    key: str
    title: str

    def minutes(self, pairs: int) -> float:
        """A guess from what it took before, for the line that says how long it will take."""
        ...

    def measure(self, pairs: int, say: Say) -> Outcome: ...


@dataclass(frozen=True)
class PairRow:
    """The usual row: two sides, the work of pair ``i``, and higher (or lower) values being better."""

    key: str
    title: str
    target: float | None
    unit: str
    ours: Side
    theirs: Side
    work: Callable[[int], Mapping[str, Any]]
    """The work of pair ``i``, the same for both. It should differ from pair to pair where a side could remember."""
    start_minutes: float = 1.0
    pair_minutes: float = 1.0
    at_least: bool = True
    warm_up: bool = True
    share: Callable[[Reading], float] | None = None
    note: str = ""

    def minutes(self, pairs: int) -> float:
        return self.start_minutes + self.pair_minutes * (pairs + (1 if self.warm_up else 0))

    def measure(self, pairs: int, say: Say) -> Outcome:
        ours, theirs = alternate(self.ours, self.theirs, self.work, pairs, say, warm_up=self.warm_up)
        share = statistics.median(self.share(r) for r in ours) if self.share else None
        return outcome(self, ours, theirs, share)


def outcome(row: PairRow, ours: list[Reading], theirs: list[Reading], share: float | None = None) -> Outcome:
    """The median of the pairs' ratios and its spread."""
    ratios = [a.value / b.value for a, b in zip(ours, theirs, strict=True)]
    return Outcome(
        key=row.key,
        title=row.title,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        target=row.target,
        at_least=row.at_least,
        unit=row.unit,
        ours=row.ours.name,
        theirs=row.theirs.name,
        ours_median=statistics.median(r.value for r in ours),
        theirs_median=statistics.median(r.value for r in theirs),
        ours_readings=tuple(ours),
        theirs_readings=tuple(theirs),
        share_of_limit=share,
        note=row.note,
    )


def alternate(
    ours: Side,
    theirs: Side,
    work: Callable[[int], Mapping[str, Any]],
    pairs: int,
    say: Say,
    *,
    warm_up: bool = True,
    noise: bool | None = None,
) -> tuple[list[Reading], list[Reading]]:
    """Both sides' readings, ``pairs`` each, in turns. The warm-up (pair -1) is thrown away.

    A pair beside which others were at work is measured again; RuntimeError if that happens too often. ``noise`` takes
    every pair as it is (None: if the environment holds INSTAR_BENCH_NOISE).
    """
    noise = bool(os.environ.get("INSTAR_BENCH_NOISE")) if noise is None else noise
    found: tuple[list[Reading], list[Reading]] = ([], [])
    try:
        for side in (ours, theirs):
            say(f"  opening {side.name}")
            side.open()
        for i in range(-1 if warm_up else 0, pairs * TRIES):
            if len(found[0]) == pairs:
                break
            given = work(i)
            both = [side.run(given) for side in (ours, theirs)]
            label = "warm-up" if i < 0 else f"pair {len(found[0]) + 1}/{pairs}"
            text = f"  {label}: {both[0].value:,.1f} against {both[1].value:,.1f}: {both[0].value / both[1].value:.2f}"
            busy = max(r.detail.get("others") or 0.0 for r in both)
            if busy >= QUIET and not noise:
                say(f"{text} (not counted: others took {busy:.0%} of the machine)")
            else:
                say(text)
                if i >= 0:
                    found[0].append(both[0])
                    found[1].append(both[1])
        if len(found[0]) < pairs:
            raise RuntimeError(
                f"only {len(found[0])} of {pairs} pairs could be measured undisturbed: other programs are at work "
                "here. Try again later, or accept them with --noise."
            )
    finally:
        for side in (ours, theirs):
            side.close()
    return found
