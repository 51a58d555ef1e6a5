"""An item that was kept or dropped, with the reason."""

from __future__ import annotations

from typing import ClassVar

from instar.records.record import Record


class Decision(Record):
    """An item kept or dropped, and why: nothing is dropped silently."""

    kind: ClassVar[str] = "decision"

    item: str
    kept: bool
    reason: str
