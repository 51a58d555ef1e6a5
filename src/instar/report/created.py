"""What became of the tasks that were made in a run, and how good they were: by round and source, from its ledger."""

from __future__ import annotations

from typing import Any, cast

from instar.made import KINDS_OF_QUALITY
from instar.records import Assessment
from instar.store.ledger import Ledger

APPRAISAL = "appraisal"
"""The name under which ledgers know who appraises a source."""


def created(ledger: Ledger) -> dict[int, list[dict[str, Any]]]:
    """By round, for each source: its figures (None: not known), why what it proposed was refused, whether it went on
    and if not why."""
    found: dict[int, list[dict[str, Any]]] = {}
    for a in cast(list[Assessment], ledger.records("assessment")):
        if a.verb == "create":
            row = {
                "source": a.name, **a.numbers, "refused": dict(a.counts.get("refused", {})), "goes_on": a.trusted,
                "reason": a.reason,
            }  # fmt: skip
            found.setdefault(ledger.provenance(a.id)["round"], []).append(row)
    return found


def in_words(row: dict[str, Any]) -> str:
    """One line for a source: what was proposed and kept, how good it was, and whether it was stopped."""
    figures = [f"{k} {row[k]:.0%}" for k in KINDS_OF_QUALITY if row.get(k) is not None]
    if row.get("keys_checked"):
        figures.append(f"keys right {row['keys_right']:.0f} of {row['keys_checked']:.0f}")
    stopped = "" if row["goes_on"] else f"; STOPPED: {row['reason']}"
    return f"{row['source']}: kept {row['kept']:.0f} of {row['proposals']:.0f}: {', '.join(figures)}{stopped}"


def refused(row: dict[str, Any]) -> list[str]:
    """A line for each reason of a refusal, the commonest first."""
    return [f"{n} refused: {why}" for why, n in sorted(row["refused"].items(), key=lambda kv: (-kv[1], kv[0]))]
