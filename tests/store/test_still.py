"""Where nothing can be written, a ledger is read all the same, and to its last committed transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.errors import LockError, StoreError
from instar.store.ledger import Ledger
from instar.store.lock import WriterLock, holder_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root, which CI has")


@pytest.fixture
def medium(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "medium"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def sealed(medium: Path) -> Path:
    subprocess.run(["mount", "-o", "remount,ro", str(medium)], check=True)
    return medium / "ledger.db"


def test_a_ledger_that_was_closed(medium: Path) -> None:
    ledger = Ledger(medium / "ledger.db")
    ledger.set_about(word="last")
    ledger.close()
    reader = Ledger.read(sealed(medium))
    assert reader.about()["word"] == "last"
    with pytest.raises(StoreError, match="open for reading only"):
        reader.set_about(word="more")
    reader.close()


@pytest.mark.parametrize("with_index", [True, False])
def test_a_ledger_whose_run_was_killed(tmp_path: Path, medium: Path, with_index: bool) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for word in ("first", "last"):
        ledger.set_about(word=word)
    for suffix in ("", "-wal", *(["-shm"] if with_index else [])):
        shutil.copyfile(tmp_path / f"ledger.db{suffix}", medium / f"ledger.db{suffix}")
    ledger.close()
    path = sealed(medium)
    for _ in range(2):  # the second time from the copy that is there
        reader = Ledger.read(path)
        assert reader.about()["word"] == "last"
        reader.close()
    assert sorted(p.name for p in medium.iterdir())[0] == "ledger.db"


def test_a_file_that_is_no_ledger_stays_one_sentence(medium: Path) -> None:
    (medium / "ledger.db").write_text("certainly not" * 500)
    with pytest.raises(StoreError, match="cannot be opened as a ledger"):
        Ledger.read(sealed(medium))


def test_who_writes_can_be_asked_there(medium: Path) -> None:
    with WriterLock(medium / "lock"):
        pass
    sealed(medium)
    assert holder_of(medium / "lock") is None


def test_a_copy_that_finds_no_room_is_said(tmp_path: Path, medium: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.set_about(word="last")
    for suffix in ("", "-wal"):
        shutil.copyfile(tmp_path / f"ledger.db{suffix}", medium / f"ledger.db{suffix}")
    ledger.close()
    monkeypatch.setattr("tempfile.tempdir", str(medium))
    with pytest.raises(StoreError, match="no copy of it could be made"):
        Ledger.read(sealed(medium))


def test_who_wants_to_write_is_told_what_to_do(medium: Path) -> None:
    Ledger(medium / "ledger.db").close()
    sealed(medium)
    with pytest.raises(LockError, match="cannot be written") as refused, WriterLock(medium / "lock"):
        pass
    assert "copy its folder" in refused.value.hint
