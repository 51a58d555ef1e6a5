"""What the gates measured, round by round: the gain of each candidate, in all and per ability."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instar.records import Verdict
from instar.store.ledger import Ledger
from instar.store.readers.exams import verdicts_by_round


def gates(ledger: Ledger) -> list[dict[str, Any]]:
    """Every verdict in the order it was given, each check with its numbers."""
    return [{"round": round, **v.model_dump(mode="json"), "gains": _gains(v)} for round, v in verdicts_by_round(ledger)]


def stopped(verdicts: Iterable[Verdict]) -> set[str]:
    """The reports on samples that a gate stopped: what they score is flattered by where it stopped."""
    early = [v for v in verdicts if any("capital" in c.numbers for c in v.checks)]
    return {report for v in early for report in (v.incumbent_report, v.candidate_report)}


def _gains(v: Verdict) -> dict[str, dict[str, float | None]]:
    """Ability to gain, low, high, before, after, n; the whole exam under "all". A gate that stopped early has no gain
    to show, as it stopped because of what it saw: only the ends between which the gain lies."""
    out: dict[str, dict[str, float | None]] = {}
    for c in v.checks:
        if c.numbers.get("low") is not None:
            name = "all" if c.name == "gain" else c.name.removeprefix("guard:")
            out[name] = {k: c.numbers.get(k) for k in ("gain", "low", "high", "before", "after", "n")}
    return out
