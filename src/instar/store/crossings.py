"""What a call did beyond asking models, as its journal keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instar.records import hash_of


@dataclass(frozen=True)
class Crossing:
    """One crossing of a call's border. ``asked`` and ``said`` are JSON; no ``said``: begun, not known to have ended."""

    key: str
    step: str
    call: str
    kind: str
    n: int
    asked: str
    said: str | None
    branch: str | None = None
    """Which of the ways of its call that go on side by side it is of; None for the one there is without any."""


def crossing_digest(row: Mapping[str, Any]) -> str:
    """What covers a row: all of it but its time. In no branch it is covered as before there were any."""
    branch = row.get("branch")
    within = [] if branch is None else [branch]
    return hash_of("crossing", *(row[k] for k in ("key", "step", "call", "kind", "n", "asked", "said")), *within)
