"""What each filter of each round kept and dropped, and the reasons it gave, with an answer as example for each."""

from __future__ import annotations

import re
from typing import Any

from instar.store.ledger import Ledger

REASONS = 6
"""Reasons shown of one filter and outcome; the rest are counted."""

_GROUPS = """
select round, op, json_extract(body, '$.kept') as kept, json_extract(body, '$.reason') as reason, count(*) as n,
       min(json_extract(body, '$.item')) as item, min(rowid) as first
from records where kind = 'decision' and round > 0 and op not in (select value from json_each(:steering))
group by round, op, kept, reason order by first"""

_MARKS = """
select s.round as round, json_extract(f.body, '$.mark') as mark, count(*) as n
from records f join records s on s.id = json_extract(f.body, '$.solution') and s.kind = 'solution' -- no audit's plants
where f.kind = 'feedback' and f.round > 0 group by s.round, mark"""


def filters(ledger: Ledger) -> dict[int, list[dict[str, Any]]]:
    """Round to its filters in order: name, kept, dropped, and reasons grouped where they differ in ids alone."""
    names = {i: o["name"] for i, o in ledger.ops().items()}
    steering = [x["op"] for x in ledger.rows("steps") if x["verb"] in ("predict", "propose")]
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for row in ledger.select(_GROUPS, steering=steering):
        name = names.get(row["op"], row["op"])
        f = found.setdefault(row["round"], {}).setdefault(
            row["op"], {"name": name, "kept": 0, "dropped": 0, "reasons": {}}
        )
        f["kept" if row["kept"] else "dropped"] += row["n"]
        key = (bool(row["kept"]), re.sub(r"i1:[0-9a-f]{32}", "another answer", row["reason"]))
        r = f["reasons"].setdefault(key, {"kept": key[0], "reason": key[1], "n": 0, "example": row["item"]})
        r["n"] += row["n"]
    return {
        round: [{**f, **_most_told(list(f["reasons"].values()))} for f in by_op.values()]
        for round, by_op in found.items()
    }


def marks(ledger: Ledger) -> dict[int, dict[str, int]]:
    """Round to how many of its answers were marked right, wrong, invalid, unscored."""
    out: dict[int, dict[str, int]] = {}
    for row in ledger.select(_MARKS):
        out.setdefault(row["round"], {})[row["mark"]] = row["n"]
    return out


def _most_told(reasons: list[dict[str, Any]]) -> dict[str, Any]:
    """The reasons given most often, those for dropping first, and how many answers had a rarer one."""
    shown, left = [], 0
    for kept in (False, True):
        own = sorted((r for r in reasons if r["kept"] is kept), key=lambda r: -r["n"])
        shown += own[:REASONS]
        left += sum(r["n"] for r in own[REASONS:])
    return {"reasons": shown, "other": left}
