"""What planted answers say of a judge or a filter, and what became of its tasks says of a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from instar.records.record import Record


class Assessment(Record):
    """How a judge or a filter did on planted answers. ``counts``: worth to what was said of it to how often. Of a
    source that makes tasks (verb ``create``): why what it proposed was refused, and its quality (``instar.made``)."""

    kind: ClassVar[str] = "assessment"

    verb: Literal["judge", "filter", "create"]
    op: str
    name: str
    policy: str | None = None
    counts: Mapping[str, Mapping[str, int]]
    numbers: Mapping[str, float | None]
    trusted: bool
    reason: str
