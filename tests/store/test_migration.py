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

OF = {"1": "refused-killed", "2": "grpo_2-killed"}
"""A killed run of each older schema."""
NOW = str(schema.SCHEMA_VERSION)


@pytest.fixture(params=OF)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return unpack(OF[request.param], tmp_path) / "ledger.db"


def version(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return str(raw.execute("select value from about where key = 'schema'").fetchone()[0])


def copy_of(path: Path) -> Path:
    """Where the ledger is kept as it was; its folder says of which schema it is."""
    (old,) = (version for version, name in OF.items() if path.parent.name == name)
    return path.with_name(f"ledger.db.schema-{old}")


def copies(path: Path) -> list[str]:
    return [p.name for p in path.parent.glob("*schema*")]


def whole(path: Path) -> None:
    """The ledger says what the instar that made it said, and nothing is wrong with it."""
    with closing(Ledger.read(path)) as ledger:
        assert verify(ledger) == []
        assert ledger.content_digest() == LEDGERS[path.parent.name]["content"]


def test_reading_an_old_ledger_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    whole(path)
    with closing(Ledger.read(path)) as ledger:
        calls = [call for (call,) in ledger._stream("select distinct call from journal")]
        assert ledger.stored_asks(calls)
        assert of_call(ledger, calls[0])
    assert path.read_bytes() == before
    assert copies(path) == []


def test_opening_it_to_go_on_keeps_it_as_it_was_and_brings_it_to_todays_schema(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        assert ledger.copied == copy_of(path)
        assert {op["source"] for op in ledger.ops().values()} == {f"{schema.BEFORE} {NOW}"}
    assert (version(path), version(copy_of(path))) == (NOW, copy_of(path).name[-1])
    whole(path)
    whole(copy_of(path))
    with closing(Ledger(path)) as ledger:  # the second time there is nothing to do
        assert ledger.copied is None


def test_what_stands_empty_afterwards_is_given_back_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty() -> float:
        with closing(sqlite3.connect(path)) as raw:
            free, pages = (raw.execute(f"pragma {what}").fetchone()[0] for what in ("freelist_count", "page_count"))
        return float(free / pages)

    kept = path.read_bytes()
    with monkeypatch.context() as never:
        never.setattr(migration, "SPARE", 1.0)
        Ledger(path).close()
        assert empty() > 0.1
    path.write_bytes(kept)
    Ledger(path).close()
    assert empty() == 0
    whole(path)


def test_a_new_ledger_is_of_todays_schema_and_has_no_copy(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        assert ledger.copied is None
    assert version(tmp_path / "ledger.db") == NOW
    assert copies(tmp_path / "ledger.db") == []


def test_a_copy_of_an_earlier_try_gives_way_to_one_of_what_is_there_now(path: Path) -> None:
    copy_of(path).write_text("the copy of a ledger that an older instar went on with since")
    part = path.with_name(f"{copy_of(path).name}.part")
    part.write_text("half a copy")
    Ledger(path).close()
    whole(copy_of(path))
    assert not part.exists()


def test_where_no_copy_can_be_made_nothing_is_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migration, "to_disk", full)
    with pytest.raises(StoreError, match="the disk is full"):
        Ledger(path)
    assert version(path) == copy_of(path).name[-1]
    assert copies(path) == []
    whole(path)


def killed(path: Path, at: int) -> bool:
    """Open it to go on in a process of its own that is killed before its ``at``-th step, a statement of the change or a
    step of the copy. Whether it came so far. To be killed before it reads is to be killed before it next writes."""
    done = 0

    def step(*_: Any, **__: Any) -> None:
        nonlocal done
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stated(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.lstrip().lower().startswith(("select", "pragma")):
            step()

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
            event.listen(sqlalchemy.Engine, "before_cursor_execute", stated)
            event.listen(sqlalchemy.Engine, "commit", step)
            Ledger(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("old", OF)
def test_killed_at_any_instant_it_is_the_old_ledger_or_the_new_one(tmp_path: Path, old: str) -> None:
    at, seen = 1, set()
    while True:
        path = unpack(OF[old], tmp_path / str(at)) / "ledger.db"
        if not killed(path, at):
            break
        seen.add(version(path))
        whole(path)
        Ledger(path).close()
        assert version(path) == NOW
        whole(path)
        whole(copy_of(path))
        at += 1
    assert at > 10
    assert seen == {old}  # the last step is the commit


def test_a_mended_old_ledger_is_still_an_old_one_and_is_brought_up_to_date_like_any(path: Path) -> None:
    mend(path)
    assert version(path) == copy_of(path).name[-1]
    whole(path)
    Ledger(path).close()
    assert version(path) == NOW
    whole(path)
