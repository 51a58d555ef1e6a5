"""A damaged ledger: every command says a sentence, none a traceback, and what the sentence says to do works."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.config import digest_of
from instar.app.review.rederive import verified
from instar.cli.main import main
from instar.errors import InstarError, StoreError
from instar.store.ledger import Ledger
from instar.store.mend import mend
from instar.store.schema import SCHEMA_VERSION
from instar.store.sound import sound
from instar.store.verify import verify
from tests.recipes.scripted import run

FLIPS = 24
NOT_COVERED = {
    "calls": {"started", "ended", "error"},
    "journal": {"seconds", "at"},
    "borders": {"at"},
    "steps": {"seq", "items", "started", "ended"},
    "sessions": {"pid", "host", "started", "ended", "status", "note"},
    "spans": {"phase", "seconds", "tokens"},
    "about": {"disk_free_at_start", "versions"},
    "ops": {"source"},
}
"""What verify says that it does not cover."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small finished ledger."""
    runs = tmp_path_factory.mktemp("damaged") / "runs"
    run(runs, "one", "rounds=1", "sizes.train=12", "sizes.gate=20", "sizes.sealed=20")
    with closing(sqlite3.connect(runs / "one" / "ledger.db")) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    return (runs / "one" / "ledger.db").read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    (tmp_path / "runs" / "bad").mkdir(parents=True)
    return tmp_path / "runs" / "bad"


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All of a ledger, table by table, without what verify does not cover."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        tables = [r[0] for r in db.execute("select name from sqlite_master where type = 'table' order by name")]
        return {
            t: [
                {k: covered(r, k) for k in r.keys() if k not in NOT_COVERED.get(t, ())}  # noqa: SIM118 - a Row's keys
                for r in db.execute(f"select * from {t} order by 1, 2")
                if not (t == "about" and r["key"] in NOT_COVERED["about"])
            ]
            for t in tables
        }


def covered(row: sqlite3.Row, column: str) -> Any:
    """A value, but of the config what its digest covers: budgets, for one, may be others when a run is resumed."""
    if column == "value" and row["key"] == "resolved":
        return digest_of(json.loads(row[column]))
    return row[column]


def damaged(raw: bytes, how: str, rng: random.Random) -> bytes:
    b = bytearray(raw)
    if how == "flip":
        b[rng.randrange(len(b))] ^= 1 << rng.randrange(8)
    elif how == "cut":
        b = b[: rng.randrange(len(b))]
    elif how == "zeroed page":
        at = rng.randrange(len(b) // 4096) * 4096
        b[at : at + 4096] = bytes(4096)
    else:
        b = bytearray(rng.randbytes(20_000))
    return bytes(b)


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_refused_or_harmless(raw: bytes, folder: Path, seed: int) -> None:
    whole = folder.parent / "whole.db"
    whole.write_bytes(raw)
    was, rng, refused = rows(whole), random.Random(seed), 0
    for _ in range(FLIPS):
        for f in folder.iterdir():
            f.unlink()
        (folder / "ledger.db").write_bytes(damaged(raw, "flip", rng))
        try:
            wrong = verified(folder).wrong
        except InstarError as e:
            wrong = [e.message]
        refused += bool(wrong)
        assert wrong or rows(folder / "ledger.db") == was, "it passed, and is another ledger"
    assert refused > FLIPS // 2


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, str]:
    """(exit code, standard error) of a command run here; anything but an exit is a traceback."""
    monkeypatch.setattr(sys, "argv", ["instar", *args])
    capsys.readouterr()
    try:
        main()
    except SystemExit as e:
        code = int(e.code or 0)
    else:
        code = 0
    return code, capsys.readouterr().err


@pytest.mark.parametrize("how", ["flip", "cut", "zeroed page", "noise"])
def test_no_command_ends_in_a_traceback_on_a_damaged_file(
    raw: bytes, folder: Path, how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(how)
    for _ in range(4):
        for f in folder.iterdir():
            f.unlink()
        (folder / "ledger.db").write_bytes(damaged(raw, how, rng))
        for args in (["show", "bad"], ["why", "--run", "bad"], ["report", "bad", "-o", str(folder / "r.html")],
                     ["verify", "bad"], ["resume", "bad", "--quiet"]):  # fmt: skip
            code, said = command(capsys, monkeypatch, *args)
            assert code in (0, 2, 6, 7), (args, said)
            assert (code == 0) or "instar: " in said


def test_another_programs_database_is_no_ledger(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, sql in enumerate(
        ("create table songs (title text)", "create table about (key text, value text)", "create table about (x, y)",
         "create table about (key text, value text); insert into about values ('schema', '1')")
    ):  # fmt: skip
        path = folder.parent / f"other-{n}" / "ledger.db"
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.executescript(sql)
        for name in ("verify", "show", "why", "report", "resume"):
            args = ["why", "--run", path.parent.name] if name == "why" else [name, path.parent.name]
            code, said = command(capsys, monkeypatch, *args)
            assert code in (2, 6), (sql, args, said)
            assert "instar: " in said


@pytest.fixture
def torn(raw: bytes, folder: Path) -> Path:
    """A ledger one of whose indices has lost entries, and whose tables are whole."""
    path = folder / "ledger.db"
    path.write_bytes(raw)
    with closing(sqlite3.connect(path)) as db:
        root = db.execute("select rootpage from sqlite_master where name = 'calls_step'").fetchone()[0]
        other = db.execute("select rootpage from sqlite_master where name = 'records_kind'").fetchone()[0]
    b = bytearray(path.read_bytes())
    b[(root - 1) * 4096 : root * 4096] = b[(other - 1) * 4096 : other * 4096]
    path.write_bytes(b)
    return folder


def test_a_damaged_index_is_named_and_what_the_sentence_says_mends_it(
    torn: Path, raw: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = command(capsys, monkeypatch, "verify", "bad")
    assert code == 6
    assert "the file is damaged" in said
    assert "`instar verify bad --mend`" in said
    broken = (torn / "ledger.db").read_bytes()
    code, said = command(capsys, monkeypatch, "verify", "bad", "--mend")
    assert code == 0, said
    assert (torn / "ledger.db.damaged-1").read_bytes() == broken
    (torn / "whole.db").write_bytes(raw)
    assert rows(torn / "ledger.db") == rows(torn / "whole.db")
    assert sorted(p.name for p in torn.iterdir() if "mending" in p.name) == []
    assert command(capsys, monkeypatch, "resume", "bad", "--quiet")[0] == 0


def test_rows_that_cannot_be_read_are_not_mended_and_nothing_is_changed(raw: bytes, folder: Path) -> None:
    path = folder / "ledger.db"
    path.write_bytes(raw)
    with closing(sqlite3.connect(path)) as db:
        root = db.execute("select rootpage from sqlite_master where name = 'records'").fetchone()[0]
    b = bytearray(raw)
    b[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(b)
    with pytest.raises(StoreError, match="nothing was changed"):
        mend(path)
    assert path.read_bytes() == bytes(b)


def test_an_error_in_a_whole_ledger_stays_a_traceback(raw: bytes, folder: Path) -> None:
    (folder / "ledger.db").write_bytes(raw)
    with pytest.raises(ZeroDivisionError), sound(folder):
        _ = 1 / 0
    (folder / "ledger.db").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(StoreError, match="is damaged: "), sound(folder):
        _ = 1 / 0


def test_verify_says_in_json_what_it_covers(
    raw: bytes, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ledger.db").write_bytes(raw)
    monkeypatch.setattr(sys, "argv", ["instar", "verify", "bad", "--json"])
    with contextlib.suppress(SystemExit):
        main()
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"run", "wrong", "content", "checked", "result", "not_covered", "schema", "rows_as_shown"}
    assert said["schema"] == str(SCHEMA_VERSION)
    rows = said["rows_as_shown"]
    assert rows.pop("text_only") > 0  # the scripted engine reads words
    assert not any(rows.values())
    assert (said["wrong"], said["result"], said["checked"]["results"]) == ([], "derived and digest", 1)


def test_a_ledger_without_the_newer_columns_and_indices_is_read_verified_and_resumed(raw: bytes, folder: Path) -> None:
    path = folder / "ledger.db"
    path.write_bytes(raw)
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript("drop index journal_call; alter table journal drop column digest;"
                         "delete from about where key = 'result_digest'")  # fmt: skip
    before = path.read_bytes()
    found = verified(folder)
    assert (found.wrong, found.digest) == ([], "derived")
    assert path.read_bytes() == before
    with closing(Ledger(path)) as ledger:
        assert verify(ledger) == []
        assert ledger.content_digest() == found.content
        with closing(sqlite3.connect(path)) as db:
            calls = [call for (call,) in db.execute("select call from journal limit 3")]
        assert len(ledger.stored_asks(calls)) == 3


def test_a_journalled_reply_that_was_changed_is_not_replayed(raw: bytes, folder: Path) -> None:
    path = folder / "ledger.db"
    path.write_bytes(raw)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("update journal set replies = replace(replies, 'Answer', 'answer') where rowid = 1")
        (call,) = db.execute("select call from journal where rowid = 1").fetchone()
    with closing(Ledger.read(path)) as ledger, pytest.raises(StoreError, match="were changed"):
        ledger.stored_asks([call])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path) -> Iterator[None]:
    was = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(was)
    shutil.rmtree(tmp_path, ignore_errors=True)
