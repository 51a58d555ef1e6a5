"""How much one set of loaded weights may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Rows side by side, and gigabytes of key/value cache."""

    rows: int
    cache_gb: float
