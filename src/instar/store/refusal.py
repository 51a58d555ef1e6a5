"""A database that refuses to read or write, told from other failures, without loading what speaks to it."""

from __future__ import annotations

import sqlite3
import sys

WRITING = (OSError, sqlite3.Error)
"""What a write that fails may raise: whether the disk is full, ``store.disk`` says."""


def is_of_database(error: BaseException) -> bool:
    """Whether the database refused: a damaged file, a lock that another holds, a disk that is full."""
    exc = sys.modules.get("sqlalchemy.exc")  # loaded with the first ledger; before that nothing can have refused
    return isinstance(error, sqlite3.Error) or (exc is not None and isinstance(error, exc.DatabaseError))
