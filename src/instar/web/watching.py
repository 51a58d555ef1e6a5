"""Facts of a run that may still be going on: read again when its ledger has grown, once for everybody who asks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instar.report.facts import facts, revision

PAUSE = 2.0
"""A run's facts are read again at most every so many seconds, and never more than a third of the time is reading."""


@dataclass
class Seen:
    """What was last read of a run."""

    revision: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    took: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Watching:
    """The newest facts of each run that was asked for; a small number of runs is kept."""

    def __init__(self, keep: int = 8) -> None:
        self.keep = keep
        self._seen: dict[Path, Seen] = {}

    async def of(self, folder: Path) -> tuple[str, dict[str, Any]]:
        """(revision, facts), read in a thread when there is news. Raises StoreError for a ledger that is not one."""
        seen = self._seen.setdefault(folder, Seen())
        async with seen.lock:
            now = await asyncio.to_thread(_state, folder)
            rested = time.monotonic() - seen.at >= max(PAUSE, 3 * seen.took)
            if now != seen.revision and (rested or not seen.facts):
                began = time.monotonic()
                seen.facts = await asyncio.to_thread(facts, folder)
                seen.revision, seen.at = now, time.monotonic()
                seen.took = seen.at - began
        self._seen[folder] = self._seen.pop(folder, seen)  # the one asked for last is dropped last
        while len(self._seen) > self.keep:
            self._seen.pop(next(iter(self._seen)))
        return seen.revision, seen.facts


def _state(folder: Path) -> str:
    from instar.store.lock import holder_of

    now = revision(folder)
    # a run that was killed leaves its ledger as it was: only its lock tells
    return f"{now}-{holder_of(folder / 'lock') is not None}" if "running" in now.split("-") else now
