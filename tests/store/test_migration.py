"""An old ledger is brought to today's schema by whoever resumes it, after a copy, and can be killed at any instant."""

from __future__ import annotations

import os
import signal
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event

from instar.errors import StoreError
from instar.store import migration, schema
from instar.store.ledger import Ledger
from instar.store.mend import mend
from instar.store.readers.exchanges import of_call
from instar.store.verify import verify
from tests.fixtures.ledgers.old import LEDGERS, unpack

NAME = "refused-killed"
COPY = "ledger.db.schema-1"
TODAY = str(schema.SCHEMA_VERSION)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return unpack(NAME, tmp_path) / "ledger.db"


def version(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return str(raw.execute("select value from about where key = 'schema'").fetchone()[0])


def copies(path: Path) -> list[str]:
    return [p.name for p in path.parent.glob("*schema*")]


def whole(path: Path) -> None:
    """The ledger says what the instar that made it said, and nothing is wrong with it."""
    with closing(Ledger.read(path)) as ledger:
        assert verify(ledger) == []
        assert ledger.content_digest() == LEDGERS[NAME]["content"]


def test_reading_an_old_ledger_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    whole(path)
    with closing(Ledger.read(path)) as ledger:
        calls = [row["key"] for row in ledger.rows("calls")]
        assert ledger.stored_asks(calls)
        assert of_call(ledger, calls[0])
    assert path.read_bytes() == before
    assert copies(path) == []


def test_opening_it_to_go_on_keeps_it_as_it_was_and_brings_it_to_todays_schema(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        assert ledger.copied == path.with_name(COPY)
        assert {op["source"] for op in ledger.ops().values()} == {schema.BEFORE}
    assert (version(path), version(path.with_name(COPY))) == (TODAY, "1")
    whole(path)
    whole(path.with_name(COPY))
    with closing(Ledger(path)) as ledger:  # the second time there is nothing to do
        assert ledger.copied is None


def test_a_new_ledger_is_of_todays_schema_and_has_no_copy(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        assert ledger.copied is None
    assert version(tmp_path / "ledger.db") == TODAY
    assert copies(tmp_path / "ledger.db") == []


def test_a_copy_of_an_earlier_try_gives_way_to_one_of_what_is_there_now(path: Path) -> None:
    path.with_name(COPY).write_text("the copy of a ledger that an older instar went on with since")
    path.with_name(f"{COPY}.part").write_text("half a copy")
    Ledger(path).close()
    whole(path.with_name(COPY))
    assert not path.with_name(f"{COPY}.part").exists()


def test_where_no_copy_can_be_made_nothing_is_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migration, "to_disk", full)
    with pytest.raises(StoreError, match="the disk is full"):
        Ledger(path)
    assert version(path) == "1"
    assert copies(path) == []
    whole(path)


def killed(path: Path, at: int) -> bool:
    """Open it to go on in a process of its own that is killed before its ``at``-th step, a statement of the change or a
    step of the copy. Whether it came so far."""
    done = 0

    def step(*_: Any, **__: Any) -> None:
        nonlocal done
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            step()
            return work(*args)

        return wrapped

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: the child needs none of them
        child = os.fork()
    if child == 0:
        try:
            migration.to_disk = stepping(migration.to_disk)
            os.replace = stepping(os.replace)
            event.listen(sqlalchemy.Engine, "before_cursor_execute", step)
            event.listen(sqlalchemy.Engine, "commit", step)
            Ledger(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_any_instant_it_is_the_old_ledger_or_the_new_one(tmp_path: Path) -> None:
    at, seen = 1, set()
    while True:
        path = unpack(NAME, tmp_path / str(at)) / "ledger.db"
        if not killed(path, at):
            break
        seen.add(version(path))
        whole(path)
        Ledger(path).close()
        assert version(path) == TODAY
        whole(path)
        whole(path.with_name(COPY))
        at += 1
    assert at > 10
    assert seen == {"1"}  # the last step is the commit


def test_a_mended_old_ledger_is_still_an_old_one_and_is_brought_up_to_date_like_any(path: Path) -> None:
    mend(path)
    assert version(path) == "1"
    whole(path)
    Ledger(path).close()
    assert version(path) == TODAY
    whole(path)
