"""The capability matrix: every ability by every policy, with intervals, and what of it was lost on the way.

Rows are the abilities of the dev set and the guards; columns are the base and every policy that was examined on any of
them, in the order in which they were made. Where policies were examined on different parts of a guard, each cell says
how it stands against the base on that very part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instar.records import suite_kind
from instar.report.policies import short
from instar.report.texts import row as row_of_texts
from instar.store.ledger import Ledger
from instar.store.readers.exams import Scores, scores
from instar.store.readers.likelihoods import likelihoods
from instar.store.roles import Roles


def capabilities(ledger: Ledger, roles: Roles) -> dict[str, Any] | None:
    """The matrix; None where fewer than two policies were examined on dev or on a guard."""
    found = [s for s in scores(ledger) if s.suite == "dev" or suite_kind(s.suite) == "guard"]
    read = likelihoods(ledger)
    seen = dict.fromkeys([*(s.policy for s in found), *(x.policy for x in read if x.suite != "train")])
    order = [p for p in ([roles.base] if roles.base in seen else []) + [p for p in roles.updates if p in seen] if p]
    if len(order) < 2:
        return None
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for s in found:
        if s.suite == "dev":
            for ability, metrics in s.abilities.items():
                rows.setdefault(ability, {}).setdefault(s.policy, _cell(metrics, s.n, s.items))
        else:
            rows.setdefault(s.suite, {})[s.policy] = _cell(s.metrics, s.n, s.items)
    by_part = {(s.suite, s.policy, s.items): s for s in found}
    made_in = {p: roles.updates[p].round if p in roles.updates else 0 for p in order}
    return {
        "policies": [{"id": p, "short": short(p), "roles": roles.of(p), "round": made_in[p]} for p in order],
        "rows": [_row(name, cells, order, roles.base, by_part) for name, cells in rows.items()],
        "perplexity": row_of_texts(read, order, roles.base),
    }


def _cell(metrics: Mapping[str, Any], n: int, items: str) -> dict[str, Any]:
    value = metrics.get(f"mean@{n}", metrics["mean@1"])
    return {k: value[k] for k in ("value", "low", "high", "n")} | {"items": items}


def _row(
    name: str, cells: Mapping[str, dict[str, Any]], order: Sequence[str], base: str | None,
    by_part: Mapping[tuple[str, str, str], Scores],
) -> dict[str, Any]:  # fmt: skip
    shown = []
    for policy in order:
        cell = dict(cells[policy]) if policy in cells else None
        if cell is not None:
            part = by_part.get((name, base or "", cell["items"]))  # of a guard: the base on the same part of it
            then = _cell(part.metrics, part.n, part.items) if part is not None else cells.get(base or "")
            cell["from_base"] = cell["value"] - then["value"] if then is not None else None
            del cell["items"]
        shown.append(cell)
    known = [c["from_base"] for c in shown if c is not None and c["from_base"] is not None]
    return {
        "name": name, "guard": suite_kind(name) == "guard", "cells": shown,
        "below_best": max(known) - known[-1] if known else None,
    }  # fmt: skip


def in_words(found: Mapping[str, Any]) -> list[str]:
    """A line an ability: its score policy after policy, and how far the last one is below the best."""
    lines = []
    for row in found["rows"]:
        way = " > ".join("-" if c is None else f"{100 * c['value']:.1f}" for c in row["cells"])
        lost = row["below_best"]
        lines.append(f"{row['name']}: {way}" + (f" ({100 * lost:.1f} points below its best)" if lost else ""))
    if (text := found.get("perplexity")) is not None:
        way = " > ".join("-" if c is None else f"{c['value']:.2f} ({100 * c['rise']:+.1f} %)" for c in text["cells"])
        lines.append(f"{text['name']}, perplexity (rise from the base): {way}")
    return lines
