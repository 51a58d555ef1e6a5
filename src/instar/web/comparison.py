"""Two runs beside each other: their verdicts, the tasks that only one solves, what was set otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from instar.records import Report, Task
from instar.report.summary import summary
from instar.report.verdict import verdict
from instar.store.door import open_ledger

ABSENT = "(no such setting)"
Paired = Callable[[str, str], Mapping[str, Any]]
"""Names of two runs to the paired comparison of their final models (``gain``, ``low``, ``high``, ``n`` or ``refusal``);
the phase that computes it is handed in, this room reads ledgers only."""


def comparison(a: Path, b: Path, paired: Paired | None = None) -> dict[str, Any]:
    """What a page needs to compare run ``b`` with run ``a``."""
    sides = []
    for folder in (a, b):
        s = summary(folder)
        sides.append({**s, "verdict": verdict(s)})
    abilities = list(dict.fromkeys(n for s in sides for n in (s["sealed"] or {"abilities": {}})["abilities"]))
    return {
        "sides": sides, "abilities": abilities, "changed": differences(sides[0]["config"], sides[1]["config"]),
        "items": _items(a, b), "paired": dict(paired(a.name, b.name)) if paired else None,
    }  # fmt: skip


def differences(a: Any, b: Any, path: str = "") -> list[tuple[str, str, str]]:
    """(setting, value in a, value in b) where two configs differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            d
            for k in sorted({*a, *b})
            for d in differences(a.get(k, ABSENT), b.get(k, ABSENT), f"{path}.{k}" if path else str(k))
        ]
    return [] if a == b else [(path, _said(a), _said(b))]


def _said(value: Any) -> str:
    return ABSENT if value is ABSENT else json.dumps(value)


def _items(a: Path, b: Path) -> dict[str, Any]:
    """Sealed tasks that both finals were asked, by content: how many each alone solves."""
    first, second = _scores(a), _scores(b)
    both = first.keys() & second.keys()
    return {
        "both": len(both),
        "only_a": sum(first[k] > second[k] for k in both),
        "only_b": sum(second[k] > first[k] for k in both),
        "unlike": len(first) + len(second) - 2 * len(both),
    }


def _scores(folder: Path) -> dict[str, float]:
    """Content digest of each sealed task to the final model's score on it."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        final = json.loads(ledger.about().get("result", "{}")).get("final")
        reports = [r for r in cast(list[Report], ledger.records("report")) if r.exam.suite == "sealed"]
        outcomes = next((r.outcomes for r in reports if r.policy == final), ())
        tasks = {t.id: t.digest for t in cast(list[Task], ledger.records(ids=[o.task for o in outcomes]))}
        return {tasks[o.task]: o.score for o in outcomes}
    finally:
        ledger.close()
