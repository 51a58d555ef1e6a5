"""``instar recipes`` and ``instar ops``."""

from __future__ import annotations

import inspect
import json
from typing import Any

from instar.app.configs.registry import ops, recipes, unknown
from instar.protocols import SLOTS, identity


def list_recipes(*, as_json: bool) -> None:
    """Name, paper and title of every recipe."""
    rows = [{"name": r.name, "paper": r.paper, "title": r.title} for r in recipes().values()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['name']:<20} {row['title']} ({row['paper']})")


def list_ops(slot: str | None, *, as_json: bool) -> None:
    """Every operator with its slot, its first line and its settings with defaults."""
    if slot is not None and slot not in SLOTS:
        raise unknown("slot", slot, SLOTS)
    rows: list[dict[str, Any]] = []
    for op in sorted(ops().values(), key=lambda o: (o.slot, o.name)):
        if slot in (None, op.slot):
            settings = {
                n: None if f.is_required() else identity(f.get_default(call_default_factory=True))
                for n, f in op.model_fields.items()
            }
            rows.append({"name": op.name, "slot": op.slot, "about": _first_line(op), "settings": settings})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['slot']:<8} {row['name']:<18} {row['about']}")
        for name, default in row["settings"].items():
            print(f"{'':<28}{name} = {json.dumps(default)}")


def _first_line(op: type) -> str:
    return (inspect.getdoc(op) or "").splitlines()[0] if op.__doc__ else ""
