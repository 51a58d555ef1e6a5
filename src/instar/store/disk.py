"""A full disk, told from other failures however a library puts it, and said in one sentence."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from instar.errors import StoreError

_WORDS = ("no space left on device", "disk quota exceeded", "storagefull", "disk is full", "file too large")


def is_full(error: BaseException) -> bool:
    """Whether this error, or what it was raised from, is that a disk is full. Words count only in errors of the system
    and of libraries that write: any other may quote what a model or a checker says."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        writes = isinstance(at, (OSError, RuntimeError, sqlite3.Error)) or type(at).__name__ == "SafetensorError"
        if writes and any(word in str(at).lower() for word in _WORDS):
            return True
        at = at.__cause__
    return False


def full(places: Iterable[Path]) -> StoreError:
    """The error for it, which names the one of these places that has the least room."""
    free = {place: shutil.disk_usage(place).free for place in places if place.exists()}
    where = min(free, key=lambda place: free[place], default=None)
    which = f"the disk of {where} is full" if where else "the disk is full"
    return StoreError(f"{which}: nothing already stored is lost.", "Free some space and resume.")


def apart(places: Iterable[Path]) -> list[Path]:
    """Of these places, one for each disk, in their order; one that is not there yet counts by the folder above it."""
    found: dict[int, Path] = {}
    for place in places:
        there = place.absolute()
        while not there.exists():
            there = there.parent
        found.setdefault(there.stat().st_dev, there)
    return list(found.values())
