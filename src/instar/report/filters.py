"""What each filter of each round kept and dropped, and the reasons it gave, with an answer as example for each."""

from __future__ import annotations

import re
from typing import Any

from instar.report.created import APPRAISAL
from instar.store.ledger import Ledger
from instar.store.readers import rounds

REASONS = 6
"""Reasons shown of one filter and outcome; the rest are counted."""


def filters(ledger: Ledger) -> dict[int, list[dict[str, Any]]]:
    """Round to its filters in order: name, kept, dropped, and reasons grouped where they differ in ids alone."""
    names = {i: o["name"] for i, o in ledger.ops().items()}
    steering = [x["op"] for x in ledger.rows("steps") if x["verb"] in ("predict", "propose", "create", "update")]
    steering += [i for i, name in names.items() if name in ("worth_learning", "brake", APPRAISAL)]
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for row in rounds.reasons(ledger, steering):
        name = names.get(row.op, row.op)
        f = found.setdefault(row.round, {}).setdefault(row.op, {"name": name, "kept": 0, "dropped": 0, "reasons": {}})
        f["kept" if row.kept else "dropped"] += row.n
        key = (bool(row.kept), re.sub(r"i1:[0-9a-f]{32}", "another answer", row.reason))
        r = f["reasons"].setdefault(key, {"kept": key[0], "reason": key[1], "n": 0, "example": row.item})
        r["n"] += row.n
    return {
        round: [{**f, **_most_told(list(f["reasons"].values()))} for f in by_op.values()]
        for round, by_op in found.items()
    }


def marks(ledger: Ledger) -> dict[int, dict[str, int]]:
    """Round to how many of its answers were marked right, wrong, invalid, unscored."""
    out: dict[int, dict[str, int]] = {}
    for row in rounds.marks(ledger):
        out.setdefault(row.round, {})[row.mark] = row.n
    return out


def _most_told(reasons: list[dict[str, Any]]) -> dict[str, Any]:
    """The reasons given most often, those for dropping first, and how many answers had a rarer one."""
    shown, left = [], 0
    for kept in (False, True):
        own = sorted((r for r in reasons if r["kept"] is kept), key=lambda r: -r["n"])
        shown += own[:REASONS]
        left += sum(r["n"] for r in own[REASONS:])
    return {"reasons": shown, "other": left}
