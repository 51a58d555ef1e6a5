"""A full disk is one sentence, however a library puts it and whichever of the two disks it is."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.errors import BudgetSpent, StoreError
from instar.run.budget import Budget, BudgetTracker
from instar.store.artefacts import Artefacts
from instar.store.disk import apart, is_full

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def _from(cause: Exception) -> Exception:
    error = ValueError("the shard could not be written")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (NO_SPACE, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device")]), True),
        (RuntimeError("IoError(Os { code: 28, kind: StorageFull, message: .. })"), True),
        (_from(NO_SPACE), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (sqlite3.OperationalError("database or disk is full"), True),
        (ValueError("the model wrote: no space left on device"), False),
    ],
)
def test_it_is_told_from_other_failures(error: Exception, full: bool) -> None:
    assert is_full(error) is full


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root, which CI has")


@needs_root
def test_both_disks_are_looked_at_and_the_one_without_room_is_named(tmp_path: Path, small: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert BudgetTracker(Budget(), run, tmp_path / "home" / "not" / "there").places == [run]
    budget_tracker = BudgetTracker(Budget(keep_free_gb=0), run, small / "home")
    assert budget_tracker.places == [run, small]
    budget_tracker.check_disk(0.001)
    with pytest.raises(StoreError, match=f"the disk of {small} has 0.0 GB free"):
        budget_tracker.check_disk(0.01)
    assert apart([small, run, tmp_path]) == [small, run]


@needs_root
def test_a_disk_budget_counts_what_was_written_on_either(tmp_path: Path, small: Path) -> None:
    budget_tracker = BudgetTracker(Budget(disk_gb=0.001, keep_free_gb=0), tmp_path, small)
    budget_tracker.check_disk()
    (small / "weights").write_bytes(b"1" * 1_200_000)
    with pytest.raises(BudgetSpent, match=r"of the budget of 0.001 GB are used"):
        budget_tracker.check_disk()


@needs_root
def test_weights_that_find_no_room_in_the_store_are_one_sentence_and_stay_where_they_were(
    tmp_path: Path, small: Path
) -> None:
    store = Artefacts(small / "artefacts")
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"1" * 3_000_000)
    with pytest.raises(StoreError, match=f"the disk of {small}/artefacts is full"):
        store.put(made)
    assert (made / "model.safetensors").stat().st_size == 3_000_000
    assert not [p for p in store.root.iterdir() if p.name.startswith(".new")]
