"""An artefact is whole or absent, and a flipped byte is noticed before it is used."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from instar import fingerprint
from instar.errors import StoreError
from instar.store.artefacts import MANIFEST, Artefacts


def folder(tmp_path: Path, text: str = "weights", name: str = "new") -> Path:
    made = tmp_path / name
    (made / "sub").mkdir(parents=True)
    (made / "model.bin").write_text(text)
    (made / "sub" / "extra").write_text("x")
    return made


def test_what_is_put_can_be_opened_and_the_source_is_gone(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    digest = store.put(folder(tmp_path))
    assert store.has(digest)
    assert (store.open(digest) / "model.bin").read_text() == "weights"
    assert not (tmp_path / "new").exists()


def test_the_same_content_is_stored_once_and_other_content_elsewhere(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    one, two = store.put(folder(tmp_path)), store.put(folder(tmp_path))
    other = store.put(folder(tmp_path, "other weights"))
    assert one == two
    assert other != one


@pytest.mark.parametrize("name", ["model.bin", "sub/extra"])
def test_a_flipped_byte_is_refused_with_the_file_and_what_to_do(tmp_path: Path, name: str) -> None:
    store = Artefacts(tmp_path / "store")
    digest = store.put(folder(tmp_path))
    victim = store.place(digest) / name
    store.open(digest)
    flipped = bytearray(victim.read_bytes())
    flipped[0] ^= 1
    victim.write_bytes(bytes(flipped))
    with pytest.raises(StoreError, match=f"{name} is damaged.*Remove"):
        store.open(digest)


def test_a_missing_file_a_forged_manifest_and_an_unknown_digest_are_refused(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    digest = store.put(folder(tmp_path))
    (store.place(digest) / "model.bin").unlink()
    with pytest.raises(StoreError, match="damaged"):
        store.open(digest)
    (store.place(digest) / MANIFEST).write_text('{"files": {}}')
    with pytest.raises(StoreError, match="does not belong"):
        store.open(digest)
    with pytest.raises(StoreError, match="is not in"):
        store.open("ab" * 32)


def test_a_folder_left_without_a_manifest_is_replaced_by_the_whole_one(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    digest = store.put(folder(tmp_path))
    (store.place(digest) / MANIFEST).unlink()
    assert not store.has(digest)
    assert store.put(folder(tmp_path)) == digest
    assert store.has(digest)


def test_a_folder_on_another_file_system_is_copied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Artefacts(tmp_path / "store")
    source = folder(tmp_path)
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self == source:
            raise OSError(errno.EXDEV, "other device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    digest = store.put(source)
    assert (store.open(digest) / "model.bin").read_text() == "weights"
    assert not source.exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no file"):
        Artefacts(tmp_path / "store").put(tmp_path / "empty")


def test_a_damaged_artefact_is_replaced_when_the_same_content_is_put_again(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    digest = store.put(folder(tmp_path))
    (store.place(digest) / "model.bin").write_text("rubbish")
    assert store.put(folder(tmp_path)) == digest
    assert (store.open(digest) / "model.bin").read_text() == "weights"


def test_a_lent_folder_opens_under_its_name_for_as_long_and_is_neither_kept_nor_moved(tmp_path: Path) -> None:
    store, source = Artefacts(tmp_path / "store"), folder(tmp_path)
    with store.lend("half way", source):
        assert store.open("half way") == source
        assert not store.has("half way")
    with pytest.raises(StoreError, match="is not in"):
        store.open("half way")
    assert (source / "model.bin").read_text() == "weights"
    with pytest.raises(RuntimeError), store.lend("half way", source):
        raise RuntimeError("the rollout failed")
    with pytest.raises(StoreError):
        store.open("half way")


def test_a_fingerprint_is_kept_beside_the_weights_and_is_no_part_of_the_digest(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    bare = store.put(folder(tmp_path))
    for body in ("first", "second"):
        with_it = folder(tmp_path)
        (with_it / fingerprint.FILE).write_text(body)
        assert store.put(with_it) == bare
    assert (store.open(bare) / fingerprint.FILE).read_text() == "first"  # what was there without one got it
    inside = folder(tmp_path)
    (inside / "more").mkdir()
    (inside / "more" / fingerprint.FILE).write_text("a file of the model's own")
    assert store.put(inside) != bare
