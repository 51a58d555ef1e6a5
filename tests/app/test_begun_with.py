"""A resumed run goes on with the weights it began with, wherever the folder went and whatever it holds now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from instar.app.sessions.begun_with import begun_with, recorded_as
from instar.errors import ModelError
from instar.records import Policy
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger, Made
from tests.engines.tiny import make_model


class Place:
    """A model folder, a home and a run that began with the model."""

    def __init__(self, root: Path) -> None:
        self.folder, self.home = root / "model", root / "home"
        make_model(self.folder)
        self.weights = (self.folder / "model.safetensors").read_bytes()
        self.ledger = Ledger(root / "ledger.db")
        self.said: list[str] = []
        self.base = self.now()
        self.ledger.add_records([Made(self.base, recorded_as(str(self.folder)), 0, 0)])

    @property
    def store(self) -> Artefacts:
        return Artefacts(self.home / "artefacts")

    def now(self, system: str | None = "Think.") -> Policy:
        self.said = []
        return begun_with(
            str(self.folder), ledger=self.ledger, home=self.home, artefacts=self.store, system=system,
            say=self.said.append,
        )  # fmt: skip

    def change(self) -> None:
        """One byte of a weight."""
        other = bytearray(self.weights)
        other[-2] ^= 1
        (self.folder / "model.safetensors").write_bytes(other)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_changed_and_nothing_is_said(place: Place) -> None:
    assert place.now() == place.base
    assert place.said == []


def test_a_folder_whose_weights_changed_is_said_and_the_run_keeps_its_own(place: Place) -> None:
    place.change()
    assert place.now() == place.base
    (said,) = place.said
    assert f"model.safetensors in {place.folder} changed since this run was made" in said
    assert "goes on with the weights it began with" in said


def test_a_folder_that_was_only_touched_or_copied_back_is_the_same(place: Place) -> None:
    away = place.folder.with_name("away")
    shutil.copytree(place.folder, away)
    shutil.rmtree(place.folder)
    shutil.copytree(away, place.folder)
    (place.folder / "config.json").touch()
    assert place.now() == place.base
    assert place.said == []


def test_a_folder_that_is_gone_is_not_needed(place: Place) -> None:
    shutil.rmtree(place.folder)
    assert place.now() == place.base


def test_a_folder_that_is_no_model_any_more_is_said(place: Place) -> None:
    (place.folder / "tokenizer.json").unlink()
    assert place.now() == place.base
    assert "holds no tokenizer.json" in place.said[0]


def test_weights_that_are_gone_from_the_store_are_taken_in_again_if_they_are_the_same(place: Place) -> None:
    shutil.rmtree(place.home)
    assert place.now() == place.base
    assert place.store.has(place.base.weights.digest)


def test_weights_that_are_gone_and_others_in_the_folder_are_refused_and_the_advice_works(place: Place) -> None:
    shutil.rmtree(place.home)
    place.change()
    with pytest.raises(ModelError, match="stands for others now") as refused:
        place.now()
    assert "what the model was made from back in its place, and resume" in refused.value.hint
    (place.folder / "model.safetensors").write_bytes(place.weights)
    assert place.now() == place.base


def test_both_gone_is_refused_and_the_advice_works(place: Place) -> None:
    away = place.folder.with_name("away")
    place.folder.rename(away)
    place.home.rename(kept := place.home.with_name("kept"))
    with pytest.raises(ModelError, match="cannot be had again: There is no model or folder"):
        place.now()
    shutil.rmtree(place.home)
    kept.rename(place.home)  # "put them back there"
    assert place.now() == place.base
    shutil.rmtree(place.home)
    away.rename(place.folder)  # "or what the model was made from"
    assert place.now() == place.base


def test_another_system_prompt_is_another_policy_with_the_same_weights(place: Place) -> None:
    place.change()
    other = place.now(system="Guess.")
    assert other.weights == place.base.weights
    assert other.id != place.base.id


def test_a_hub_model_is_had_by_the_commit_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    place = Place(tmp_path)
    commit = f"owner/name@{'a' * 40}"
    base = place.base.model_copy(
        update={"weights": place.base.weights.model_copy(update={"name": commit})}
    ).identified()
    ledger = Ledger(tmp_path / "hub.db")
    ledger.add_records([Made(base, recorded_as("owner/name"), 0, 0)])

    def obtain(name: str, **how: object) -> Policy:
        asked.append(name)
        return base

    monkeypatch.setattr("instar.app.sessions.begun_with.obtain", obtain)

    def again() -> Policy:
        return begun_with(
            "owner/name", ledger=ledger, home=place.home, artefacts=place.store, system=None, say=print
        )  # fmt: skip

    assert again().weights == base.weights
    assert asked == []  # what the branch is now is not even looked up
    shutil.rmtree(place.home)
    assert again().weights == base.weights
    assert asked == [commit]


def test_a_pointer_to_other_weights_changes_nothing(place: Place) -> None:
    """The folder was changed and taken in by another run: the name stands for that now, but not in this run."""
    place.change()
    other = Place.__new__(Place)
    other.__dict__ |= place.__dict__ | {"ledger": Ledger(place.home / "other.db")}
    assert other.now().weights != place.base.weights
    assert json.loads(next((place.home / "models").glob("*.json")).read_text())["digest"]
    assert place.now() == place.base
