"""A database that refuses is told from other failures, whichever of the store's ways to it was taken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError

from instar.store.door import open_ledger
from instar.store.refusal import is_of_database


def test_a_table_that_is_gone_is_the_databases_refusal_both_by_rows_and_by_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path, "write").close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("drop table calls")
    with closing(open_ledger(path)) as ledger:
        with pytest.raises(DatabaseError) as by_rows:
            ledger.rows("calls")
        with pytest.raises(sqlite3.Error) as by_stream:
            ledger.stored_calls(["i1:x"])
    assert is_of_database(by_rows.value)
    assert is_of_database(by_stream.value)


@pytest.mark.parametrize("error", [ValueError("database"), OSError(28, "No space left on device"), KeyError("sqlite3")])
def test_another_failure_is_not(error: Exception) -> None:
    assert not is_of_database(error)
