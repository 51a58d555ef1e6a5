"""One door to a ledger: paths and URLs of files open, everything else is refused in a sentence."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from instar.errors import StoreError
from instar.store.door import open_ledger


@pytest.mark.parametrize("name", ["ledger.db", "100% of a + b, or c.db"])
def test_a_path_and_a_url_of_it_open_the_same_ledger(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with closing(open_ledger(f"sqlite:///{path}", "write")) as ledger:
        ledger.set_about(recipe="star")
    assert path.is_file()
    for place in (path, str(path), f"sqlite:///{path}"):
        with closing(open_ledger(place)) as ledger:
            assert ledger.about()["recipe"] == "star"
            with pytest.raises(StoreError, match="open for reading only"):
                ledger.set_about(recipe="other")


def test_a_relative_url_is_a_path_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_ledger("sqlite:///ledger.db", "write").close()
    assert (tmp_path / "ledger.db").is_file()


def test_reading_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger at"):
        open_ledger(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@host/runs", "postgresql+psycopg://host/runs", "mysql://host/runs", "file:///x.db"]
)
def test_another_database_is_refused_and_no_password_is_shown(url: str, mode: Literal["read", "write"]) -> None:
    with pytest.raises(StoreError, match=r"^(postgresql(\+psycopg)?|mysql|file): not yet") as e:
        open_ledger(url, mode)
    assert "secret" not in f"{e.value}{e.value.hint}"
    assert "sqlite:///PATH" in str(e.value.hint)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://host/ledger.db", "sqlite:///ledger.db?mode=ro"])
def test_a_url_that_names_no_file_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="names no file"):
        open_ledger(url, "write")
    assert list(tmp_path.iterdir()) == []
