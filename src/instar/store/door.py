"""The one door to a ledger: where it is, as a path or a URL, and whether it is to be read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from instar.errors import StoreError
from instar.store.ledger import Ledger


def open_ledger(url: str | Path, mode: Literal["read", "write"] = "read") -> Ledger:
    """The ledger at a path or at ``sqlite:///path`` (four slashes before a path from the root); close it when done.

    ``read`` works while a run writes, and on a read-only medium; ``write`` makes a ledger that is not there, and wants
    the run's lock to be held. Raises StoreError where there is none to read, for a file that is no ledger, and for
    every other kind of database.
    """
    path = _path_of(url)
    return Ledger(path) if mode == "write" else Ledger.read(path)


def _path_of(url: str | Path) -> Path:
    if isinstance(url, Path) or "://" not in url:
        return Path(url)
    scheme = url.split("://", 1)[0]
    if scheme != "sqlite":  # of an address that may hold a password, the scheme alone is shown
        raise StoreError(
            f"{scheme}: not yet; a ledger is an SQLite file.",
            "Give its path, or sqlite:///PATH (sqlite:////PATH from the root).",
        )
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or not parsed.database or parsed.host or parsed.query:
        raise StoreError(
            f"{url!r} names no file: it is sqlite:/// and a path, without a host and without options.",
            "Write sqlite:///PATH, or sqlite:////PATH for a path from the root; or the path alone.",
        )
    return Path(parsed.database)
