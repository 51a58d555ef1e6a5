"""The figures a run ends with, from its sealed reports alone: the last session notes them, ``verify`` derives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.errors import StoreError
from instar.evaluate.compare import compare
from instar.records import Report, hash_of

COVERED = ("result", "result_record", "evolved_at", "stress", "limits")
"""What is noted of a run that its result's digest covers: figures that are shown, and cannot all be derived again."""


def figures(before: Report, after: Report) -> dict[str, Any]:
    """The headline: base and final on the sealed exam. Raises StoreError for reports that cannot be compared."""
    c = compare(before, after)
    if c.refusal:
        raise StoreError(f"the sealed reports cannot be compared: {c.refusal}")
    return {
        "base": c.before, "final": c.after, "gain": c.gain, "low": c.low, "high": c.high, "n": c.n,
        "best_constant": c.best_constant, "parse_base": c.parse_before, "parse_final": c.parse_after,
        "newly_right": c.newly_right, "newly_wrong": c.newly_wrong, "p": c.p,
        "precision": before.exam.precision, "engine": before.exam.engine,
        "abilities": {
            a: {"base": x.before, "final": x.after, "gain": x.gain, "low": x.low, "high": x.high, "n": x.n,
                "best_constant": x.best_constant}
            for a, x in c.abilities.items()
        },
    }  # fmt: skip


def beside(control: Report, after: Report) -> dict[str, Any]:
    """A control on the sealed exam, and what the final policy has on it."""
    gap = compare(control, after)
    return {
        "score": control.metrics["mean@1"].value,
        "parse": control.metrics["parse_rate"].value,
        "evolved_minus_control": gap.gain,
        "low": gap.low,
        "high": gap.high,
    }


def result_digest(about: Mapping[str, str]) -> str:
    """What covers a finished run's figures: they are not records, so no record's digest does."""
    return hash_of("result", {k: about[k] for k in COVERED if k in about})
