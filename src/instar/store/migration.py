"""Before an older ledger is brought to today's schema it is copied: whatever goes wrong, the copy is as it was.

Killed at any instant nothing is lost: until the copy is whole it has another name, and the change itself is one
transaction of the database. As long as the ledger itself is old, it is newer than any copy of it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from instar.durable import to_disk
from instar.errors import StoreError
from instar.store.disk import is_full
from instar.store.schema import SCHEMA_VERSION

SPARE = 0.1
"""Share of a ledger that may stand empty."""


def keep_copy(path: Path) -> Path | None:
    """Copy the ledger to ``NAME.schema-N`` beside it, if its schema N is older than today's; returns where.

    None where there is nothing to copy: no file, one of today's schema, or no ledger (whoever opens it says so). Hold
    the run's lock. Raises StoreError, with nothing changed, where no copy can be made.
    """
    version = _version(path)
    if version is None or version >= SCHEMA_VERSION:
        return None
    kept = path.with_name(f"{path.name}.schema-{version}")
    part = path.with_name(f"{kept.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was killed
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
            db.execute("vacuum into ?", (str(part),))
        to_disk(part)
        os.replace(part, kept)
        to_disk(path.parent)
    except (OSError, sqlite3.Error) as e:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        why = "the disk is full" if is_full(e) else str(e)
        raise StoreError(
            f"{path} is a ledger of schema {version}; it could not be copied before it is brought to schema "
            f"{SCHEMA_VERSION} ({why}). Nothing was changed.",
            f"Free {path.stat().st_size / 1e6:,.0f} MB there and resume; reading it (show, why, report) needs no copy.",
        ) from None
    return kept


def give_back(path: Path, copied: Path | None) -> None:
    """Of a ledger that was just brought up to date (``copied``), give the room that stands empty now back to the disk,
    where it is a tenth of the file. Where there is none to do it in, it stays: the ledger is whole either way."""
    if copied is None:
        return
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        empty, pages = (db.execute(f"pragma {what}").fetchone()[0] for what in ("freelist_count", "page_count"))
        if empty > SPARE * pages:
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")


def _version(path: Path) -> int | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=30)) as db:
            row = db.execute("select value from about where key = 'schema'").fetchone()
    except sqlite3.Error:
        return None
    return int(row[0]) if row is not None and str(row[0]).isdigit() else None
