"""What the planted answers said of a run's judges and filters, read from its ledger."""

from __future__ import annotations

from typing import Any, cast

from instar.records import Assessment
from instar.store.ledger import Ledger


def audits(ledger: Ledger) -> dict[int, list[dict[str, Any]]]:
    """By round (0: exams), every assessment in the order it was made, as plain data."""
    order = {c["key"]: c["started"] for c in ledger.rows("calls")}
    found: dict[int, list[tuple[float, dict[str, Any]]]] = {}
    for a in cast(list[Assessment], ledger.records("assessment")):
        if a.verb == "create":  # of a source, not of who judges answers
            continue
        origin = ledger.provenance(a.id)
        row = a.model_dump(mode="json", exclude={"id"})
        found.setdefault(origin["round"], []).append((order.get(origin["call"], 0.0), row))
    return {r: [row for _, row in sorted(rows, key=lambda x: x[0])] for r, rows in sorted(found.items())}


def sentences(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each assessment: who, precision and recall, and the right answers for a wrong reason apart."""
    return [_sentence(a) for a in rows]


def briefly(rows: list[dict[str, Any]]) -> list[str]:
    """For a terminal: a line for each judge and for each filter that erred; those that made no mistake share one."""
    loud = [a for a in rows if a["verb"] == "judge" or not a["trusted"] or not _perfect(a)]
    quiet = [a for a in rows if a not in loud]
    lines = [_sentence(a) for a in loud]
    if quiet:
        lines.append(f"{len(quiet)} filters kept every good and dropped every bad one of the known answers they saw")
    return lines


def _perfect(a: dict[str, Any]) -> bool:
    return all(a["numbers"][k] in (None, 1.0) for k in ("precision", "recall"))


def _sentence(a: dict[str, Any]) -> str:
    n = a["numbers"]
    parts = [f"{k} {_share(n[k])}" for k in ("precision", "recall")]
    parts.append(f"right answers for a wrong reason accepted {_share(n['wrong_reason_accepted'])}")
    if a["verb"] == "judge":
        parts.append(f"agreement {_share(n['agreement'])} (kappa {_number(n['kappa'])})")
        for key, word in (("swap_consistency", "same in both orders"), ("undecided", "undecided")):
            if n.get(key):
                parts.append(f"{word} {_share(n[key])}")
        if n.get("length_correlation") is not None:
            parts.append(f"correlation of score and length {_number(n['length_correlation'])}")
    refused = "" if a["trusted"] else f"; REFUSED: {a['reason']}"
    return f"{a['verb']} {a['name']} on {n['n']:.0f} known answers: {', '.join(parts)}{refused}"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:+.2f}"
