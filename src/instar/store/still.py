"""A ledger where nothing can be written beside it: on a read-only medium, or in a folder of somebody else.

SQLite wants to write next to a file that it only reads (a shared index of what is not yet merged). Where it cannot, a
ledger that was closed properly is read as the fixed file it is; one whose run was killed still has its newest
transactions in a second file, so both are copied and merged elsewhere.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from instar.errors import StoreError

_COPIES: dict[Path, tuple[tuple[int, ...], tempfile.TemporaryDirectory[str]]] = {}
"""One copy of each ledger in a process, made again when the original changed; removed when the process ends."""


def still(path: Path) -> Path:
    """A file with all committed transactions that nobody writes to: the ledger itself, or a merged copy of it.

    Raises StoreError where the copy cannot be made.
    """
    path = path.resolve()
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return path
    stamp = tuple(n for p in (path, wal) for n in (p.stat().st_size, p.stat().st_mtime_ns))
    if path in _COPIES and _COPIES[path][0] == stamp:
        return Path(_COPIES[path][1].name) / path.name
    try:
        folder = tempfile.TemporaryDirectory(prefix="instar-read-")
        copy = Path(folder.name) / path.name
        for source in (path, wal):
            shutil.copyfile(source, copy.with_name(source.name))
        with closing(sqlite3.connect(copy)) as raw:
            raw.execute("pragma journal_mode=delete")
    except (OSError, sqlite3.Error) as e:
        raise StoreError(
            f"{path} cannot be read where it is, and no copy of it could be made in {tempfile.gettempdir()}: {e}.",
            "Free some space there, or name another folder with TMPDIR.",
        ) from e
    _COPIES[path] = stamp, folder
    return copy
