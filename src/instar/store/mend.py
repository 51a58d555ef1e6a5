"""A ledger whose indices are damaged, made anew: its rows are all there, only the way to them is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from instar.errors import StoreError
from instar.store import schema as t
from instar.store.ledger import Ledger
from instar.store.verify import verify


def mend(path: Path) -> Path:
    """Copy every row into a fresh file that takes the ledger's place; returns where the damaged one is kept.

    Hold the run's lock. Raises StoreError, with nothing changed, where rows cannot be read either.
    """
    fresh = path.with_name(path.name + ".mending")
    try:
        with closing(sqlite3.connect(path)) as old:
            old.execute("pragma wal_checkpoint(truncate)")  # what was written last goes into the file that is kept
        _remove(fresh)
        Ledger(fresh).close()
        with closing(sqlite3.connect(fresh)) as db:
            db.execute("attach ? as old", (str(path),))
            _copy(db)
        with closing(Ledger.read(fresh)) as ledger:
            wrong = verify(ledger)  # a row that was lost with a page is missed by another
        if wrong:
            raise StoreError(wrong[0])
        kept = next(p for n in range(1, 10_000) if not (p := path.with_name(f"{path.name}.damaged-{n}")).exists())
        shutil.copyfile(path, kept)
        _remove(path, "-wal", "-shm")  # emptied above; they are the old file's
        os.replace(fresh, path)
        _remove(fresh)
    except (sqlite3.Error, StoreError, OSError) as e:
        _remove(fresh)
        raise StoreError(
            f"{path} cannot be mended from its own rows ({e}); nothing was changed.",
            "Put a copy of the file in its place, or start the run again.",
        ) from None
    return kept


def _copy(db: sqlite3.Connection) -> None:
    with db:
        for table in t.metadata.sorted_tables:
            there = {row[1] for row in db.execute(f"pragma old.table_info({table.name})")}
            columns = ", ".join(c.name for c in table.columns if c.name in there)
            if not there:  # a ledger of an older schema: it stays one, and is brought to today's when it is resumed
                continue
            if table.dialect_options["sqlite"]["with_rowid"] and not ("n" in table.columns and "n" in there):
                columns = f"rowid, {columns}"
            db.execute(f"delete from main.{table.name}")
            db.execute(f"insert into main.{table.name} ({columns}) select {columns} from old.{table.name} not indexed")
        if db.execute("select type from old.sqlite_master where name = 'edges'").fetchone() == ("table",):
            db.execute(t.FROM_EDGES.format(edges="old.edges"))


def _remove(path: Path, *ends: str) -> None:
    for end in ends or ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
