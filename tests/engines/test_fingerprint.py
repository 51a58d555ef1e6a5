"""Every engine compares itself with the model that was trained before it answers, and refuses where it is another."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar import fingerprint
from instar.engines.hf import model as causal
from instar.engines.hf import reference
from instar.engines.hf.engine import TransformersEngine
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.openvino.engine import OpenVinoEngine
from instar.errors import EngineError, ModelError
from instar.export.folder import save
from instar.protocols import Engine
from instar.records import Reply, Sampling
from instar.update.weights.trainer.model import Lora, TrainableModel, open_trainable
from tests.engines.tiny import FolderStore, make_model, policy_of, user

pytestmark = pytest.mark.usefixtures("one_thread")

MAKERS: dict[str, Callable[[Path], Engine]] = {
    "native": lambda root: NativeEngine(FolderStore(root), cache_gb=0.1),
    "openvino": lambda root: OpenVinoEngine(FolderStore(root), root / "scratch", cache_gb=1),
    "transformers": lambda root: TransformersEngine(FolderStore(root), device="cpu", cache_gb=0.5),
}


@pytest.fixture(params=[m for m in MAKERS if m != "native" or build.why_not() is None])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def ask(engine: Engine, name: str = "m", precision: str = "f32") -> list[Reply]:
    how = Sampling(temperature=1.0, max_tokens=4)
    return asyncio.run(engine.ask(policy_of(name), user("what ?"), n=1, sampling=how, seed=1, precision=precision))


def changed(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    from safetensors.numpy import load_file, save_file

    held = load_file(folder / "model.safetensors")
    save_file({**held, name: np.ascontiguousarray(change(held[name]))}, folder / "model.safetensors")


def configured(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_a_folder_without_a_fingerprint_gets_one_and_is_compared_with_it(engine: Engine, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert ask(engine)
    kept = fingerprint.read(folder)
    assert kept is not None
    assert kept.by == "transformers in float32"
    assert max(map(len, kept.sequences)) > 64
    assert len(ask(engine, precision=engine.precision_for("sample"))) == 1
    assert sorted(p.name for p in folder.iterdir() if "fingerprint" in p.name) == [fingerprint.FILE]


CHANGES: dict[str, Callable[[Path], None]] = {
    "another head": lambda f: changed(f, "lm_head.weight", lambda w: w[::-1]),
    "another embedding": lambda f: changed(f, "model.embed_tokens.weight", lambda w: w * 1.2),
    "other rotations": lambda f: configured(f, rope_parameters={"rope_theta": 500.0, "rope_type": "default"}),
    "one layer's values in halves": lambda f: changed(f, "model.layers.1.self_attn.v_proj.weight", lambda w: w / 2),
    "another norm": lambda f: configured(f, rms_norm_eps=1e-2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_weights_or_a_config_that_changed_since_are_refused_with_the_difference(
    engine: Engine, tmp_path: Path, change: str
) -> None:
    folder = make_model(tmp_path / "m", seed=5)
    assert reference.make(folder)[0] is not None
    CHANGES[change](folder)
    for _ in range(2):  # not once a process
        with pytest.raises(ModelError, match=rf"The {engine.name} engine at f32 does not run the model of .*/m") as e:
            ask(engine)
        assert "nats at most" in e.value.message
    (folder / fingerprint.FILE).unlink()  # as the hint says
    assert ask(engine)


def test_a_change_while_the_process_goes_on_is_seen_at_the_next_load(engine: Engine, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert ask(engine)
    engine.unload()
    assert ask(engine)
    engine.unload()
    CHANGES["another head"](folder)
    with pytest.raises(ModelError, match="does not run the model"):
        ask(engine)


def learner_of(folder: Path, lora: Lora | None) -> TrainableModel:
    """One that learned something: an adapter begins as nothing."""
    import torch

    trainable = open_trainable(folder, lora, 0)
    with torch.no_grad():
        for i, p in enumerate(trainable.parameters().values()):
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)) * 0.1)
    return trainable


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8.0)], ids=["whole", "adapter"])
def test_what_was_trained_is_what_is_examined(engine: Engine, tmp_path: Path, lora: Lora | None) -> None:
    trainable = learner_of(make_model(tmp_path / "base"), lora)
    save(trainable, tmp_path / "base", tmp_path / "m")
    kept = fingerprint.read(tmp_path / "m")
    assert kept is not None
    assert kept.by.startswith("the trained model")
    for precision in sorted({"f32", engine.precision_for("sample")}):
        assert ask(engine, precision=precision)


def test_what_was_saved_and_is_not_what_was_trained_is_refused(engine: Engine, tmp_path: Path) -> None:
    trainable = learner_of(make_model(tmp_path / "base"), None)
    save(trainable, tmp_path / "base", tmp_path / "m")
    # as a head that was trained beside the embedding and is saved tied to it
    held = trainable.model.model.embed_tokens.weight.detach().numpy()
    changed(tmp_path / "m", "lm_head.weight", lambda _: held)
    with pytest.raises(ModelError, match="those of the trained model, as it was in the trainer's memory"):
        ask(engine)


def test_an_adapter_that_is_lost_in_the_merge_is_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable = learner_of(make_model(tmp_path / "base"), Lora(rank=4, alpha=8.0))
    assert trainable.adapted is not None
    monkeypatch.setattr(type(trainable.adapted.base_model), "merge_and_unload", lambda self: self.unload())
    save(trainable, tmp_path / "base", tmp_path / "m")
    with pytest.raises(ModelError, match="does not run the model"):
        ask(engine)


def test_a_folder_whose_config_ties_what_its_file_holds_apart_is_right_or_refused(
    engine: Engine, tmp_path: Path
) -> None:
    make_model(tmp_path / "m", tie_word_embeddings=True)  # its file has a head of its own
    try:
        trainable = open_trainable(tmp_path / "m", None, 0)
        save(trainable, tmp_path / "m", tmp_path / "trained")
        ask(engine, "trained")
    except ModelError:
        return  # refused: by a reader, or by the fingerprint
    kept = fingerprint.read(tmp_path / "trained")
    assert kept is not None
    made = reference.Check(tmp_path / "trained", "plain", "f32")
    assert made is not None
    found = reference._of_plain(causal.HfModel(tmp_path / "trained", "f32", "cpu", False), kept.sequences)
    assert fingerprint.distance(kept, found).most < 1e-3


def test_a_damaged_fingerprint_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    for body in ("{", "[]", '{"version": 1, "by": "x", "sequences": [[1, 2]], "logprobs": [[]]}', '{"version": 1}'):
        (folder / fingerprint.FILE).write_text(body)
        with pytest.raises(ModelError, match=r"fingerprint\.json cannot be read"):
            ask(engine)


def test_weights_without_numbers_have_no_fingerprint_and_are_refused_as_ever(engine: Engine, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    changed(folder, "model.norm.weight", lambda w: w * np.nan)
    with pytest.raises((EngineError, ModelError), match=r"not numbers|not all finite"):
        ask(engine)
    assert not (folder / fingerprint.FILE).exists()


def test_without_transformers_it_is_said_that_nothing_was_checked(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if engine.name == "transformers":
        monkeypatch.setattr(reference, "_too_large", lambda _: "no memory is free")
    else:

        def missing() -> Any:
            raise ModelError("The package torch is needed.", "Install it.")

        monkeypatch.setattr(causal, "need_torch", missing)
    folder = make_model(tmp_path / "m")
    with caplog.at_level(logging.WARNING):
        assert ask(engine)
    assert not (folder / fingerprint.FILE).exists()
    assert "has no fingerprint" in caplog.text
    assert "torch is needed" in caplog.text or "no memory is free" in caplog.text


def test_a_short_context_cuts_the_sequences(engine: Engine, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", max_position_embeddings=24)
    assert ask(engine)
    kept = fingerprint.read(folder)
    assert kept is not None
    assert max(map(len, kept.sequences)) == 24


def test_what_is_asked_is_a_function_of_the_vocabulary_and_spans_pages() -> None:
    asked = fingerprint.sequences(1000, 2048, [7, 8, 999, 1000, 5])
    assert asked == fingerprint.sequences(1000, 2048, [7, 8, 999, 1000, 5])
    assert asked[0] == (7, 8, 999, 5)
    assert all(0 <= t < 1000 for s in asked for t in s)
    assert sum(map(len, asked)) < 250
    assert max(map(len, asked)) > 5 * 16
    assert fingerprint.sequences(5, 2048)
    assert all(len(s) <= 3 for s in fingerprint.sequences(1000, 3))
