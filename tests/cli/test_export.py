"""Exports: whole or not at all, never over somebody's files, with a card that says what is known and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.storage.paths import artefacts
from instar.app.weights.export import to_adapter, to_folder, to_gguf
from instar.app.weights.policies import Found, find
from instar.cli.export import export_policy
from instar.errors import ConfigError, ModelError
from instar.records import Message, Policy, Role, Sampling, Weights
from instar.report.card import card, without_folders
from instar.report.summary import summary
from instar.store.artefacts import Artefacts
from tests.cli.llama_cpp import LlamaCpp, byte_level_model
from tests.engines.tiny import make_model


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefacts:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    return artefacts()


def stored(store: Artefacts, folder: Path) -> Found:
    weights = Weights(place="artefact", digest=store.put(folder), name="tiny")
    return Found(Policy(weights=weights, system="Be brief.").identified())


def test_a_folder_has_what_transformers_needs_the_card_and_the_policy(store: Artefacts, tmp_path: Path) -> None:
    found = stored(store, make_model(tmp_path / "m"))
    names = to_folder(found, tmp_path / "out", "# card\n", force=False)
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "policy.json"} <= set(names)
    assert "manifest.json" not in names
    assert Policy.model_validate_json((tmp_path / "out" / "policy.json").read_text()) == found.policy
    original = store.open(found.policy.weights.digest) / "model.safetensors"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == original.read_bytes()


def test_nothing_is_written_over_and_force_replaces_only_an_earlier_export(store: Artefacts, tmp_path: Path) -> None:
    found = stored(store, make_model(tmp_path / "m"))
    home = tmp_path / "home-of-somebody"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    for force in (False, True):
        with pytest.raises(ConfigError):
            to_folder(found, home, "", force=force)
    assert (home / "thesis.tex").read_text() == "years"
    to_folder(found, tmp_path / "out", "old", force=False)
    with pytest.raises(ConfigError, match="not empty"):
        to_folder(found, tmp_path / "out", "new", force=False)
    to_folder(found, tmp_path / "out", "new", force=True)
    assert (tmp_path / "out" / "README.md").read_text() == "new"
    assert not list(tmp_path.glob(".out.*"))


def test_an_export_that_fails_half_way_leaves_nothing(
    store: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stored(store, make_model(tmp_path / "m"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(Exception, match="could not be written: No space left"):
        to_folder(found, tmp_path / "out", "", force=False)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out.*"))


def test_the_scripted_model_and_full_weights_are_refused_where_there_is_nothing_to_take(
    store: Artefacts, tmp_path: Path
) -> None:
    scripted = find("scripted", system=None, say=lambda _: None)
    with pytest.raises(ModelError, match="no weights to export"):
        to_folder(scripted, tmp_path / "out", "", force=False)
    found = stored(store, make_model(tmp_path / "m"))
    with pytest.raises(ModelError, match="has no adapter"):
        to_adapter(found, tmp_path / "out", "", force=False)


def test_an_adapter_is_taken_alone(store: Artefacts, tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    (model / "adapter").mkdir()
    (model / "adapter" / "adapter_config.json").write_text('{"r": 4}')
    (model / "adapter" / "adapter_model.safetensors").write_bytes(b"x")
    found = stored(store, model)
    names = to_adapter(found, tmp_path / "out", "card", force=False)
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "policy.json"]
    assert "adapter_config.json" not in to_folder(found, tmp_path / "whole", "card", force=False)


def adapter(store: Artefacts, tmp_path: Path, name: str) -> str:
    (folder := tmp_path / name).mkdir()
    (folder / "adapter_config.json").write_text(f'{{"of": "{name}"}}')
    return store.put(folder)


def test_of_a_policy_with_an_adapter_for_each_role_any_one_is_taken_and_an_unknown_role_names_them(
    store: Artefacts, tmp_path: Path
) -> None:
    adapters = {name: adapter(store, tmp_path, name) for name in ("critic", "self")}
    weights = Weights(place="artefact", digest="0" * 64, name="base")
    found = Found(Policy(weights=weights, adapters=adapters).identified())
    for role, expected in (("critic", "critic"), ("self", "self"), (None, "self")):
        out = tmp_path / f"out-{role}"
        to_adapter(found, out, "card", force=False, role=role)
        assert json.loads((out / "adapter_config.json").read_text()) == {"of": expected}
    with pytest.raises(ModelError, match="no adapter for the role 'judge'") as refused:
        to_adapter(found, tmp_path / "out", "card", force=False, role="judge")
    assert refused.value.hint == "There are adapters for: critic, self."
    with pytest.raises(ModelError, match="the weights alone are another model") as refused:
        to_folder(found, tmp_path / "out", "card", force=False)
    assert refused.value.hint == "Export one of them: --adapter --role critic."
    alone = Found(Policy(weights=weights, adapters={"critic": adapters["critic"]}).identified())
    to_adapter(alone, tmp_path / "alone", "card", force=False)
    assert json.loads((tmp_path / "alone" / "adapter_config.json").read_text()) == {"of": "critic"}
    whole = Found(Policy(weights=weights).identified())
    with pytest.raises(ModelError, match="no adapter for the role 'critic'"):
        to_adapter(whole, tmp_path / "out", "card", force=False, role="critic")


def test_a_role_is_named_of_an_adapter_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--role names one"):
        export_policy(
            "scripted", tmp_path / "out", gguf=None, gguf_type="F16", adapter=False, role="critic", force=False,
            as_json=False, quiet=True,
        )  # fmt: skip


PROMPTS = [f"What is {a} + {b}?" for a, b in zip(range(3, 23), range(41, 61), strict=True)]


def test_a_gguf_answers_in_llama_cpp_as_the_policy_does(store: Artefacts, tmp_path: Path) -> None:
    import asyncio

    from instar.engines.hf.engine import TransformersEngine

    found = stored(store, byte_level_model(tmp_path / "m"))
    out = tmp_path / "m.gguf"
    assert to_gguf(found, out, "F32", force=False) == out.stat().st_size
    with pytest.raises(ConfigError, match="is there already"):
        to_gguf(found, out, "F32", force=False)
    sampling = Sampling(temperature=0, max_tokens=12)
    engine = TransformersEngine(store)

    async def ours() -> list[str]:
        asked = [
            engine.ask(
                found.policy, [Message(role=Role.user, content=p)], n=1, sampling=sampling, seed=1, precision="f32"
            )
            for p in PROMPTS
        ]
        return [r[0].text for r in await asyncio.gather(*asked)]

    mine = asyncio.run(ours())
    engine.close()
    theirs = LlamaCpp(out).answers([[{"role": "user", "content": p}] for p in PROMPTS], 12)
    assert len(set(mine)) > 3  # a constant text would agree with anything
    agreed = sum(a.strip() == b.strip() for a, b in zip(mine, theirs, strict=True))
    # the closest of these 240 choices is decided by 0.0002 in the logits, and falls the other way in llama.cpp
    assert agreed >= len(PROMPTS) - 1, list(zip(mine, theirs, strict=True))


def test_a_tokenizer_llama_cpp_could_not_follow_is_refused(store: Artefacts, tmp_path: Path) -> None:
    found = stored(store, make_model(tmp_path / "words"))
    with pytest.raises(ModelError, match="'WordLevel', not byte-level BPE"):
        to_gguf(found, tmp_path / "x.gguf", "F16", force=False)
    model = byte_level_model(tmp_path / "odd")
    data = json.loads((model / "tokenizer.json").read_text())
    data["pre_tokenizer"] = {"type": "Whitespace"}
    (model / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="no name for how the tokenizer"):
        to_gguf(stored(store, model), tmp_path / "x.gguf", "F16", force=False)
    assert not list(tmp_path.glob("x.gguf*"))
    with pytest.raises(ConfigError, match="There are: F32, F16, Q8_0"):
        to_gguf(found, tmp_path / "x.gguf", "Q4_K", force=False)


def test_the_card_says_what_the_ledger_knows(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_RUNS", str(made))
    found = find("one", system=None, say=lambda _: None)
    sealed = summary(made / "one")["sealed"]
    text = card(found.policy, found.run, version="0")
    assert text.startswith("---\nlicense: other\n")
    assert f"{sealed['base']:.1%} before, {sealed['final']:.1%} after" in text
    assert f"{100 * sealed['low']:+.1f} to {100 * sealed['high']:+.1f}" in text
    for ability in sealed["abilities"]:
        assert ability.replace("_", "\\_") in text
    assert "Look it up before you share these weights" in text
    assert "### Known drops" in text
    assert found.policy.id in text
    assert "Gate: Promoted" in text
    candidate = card(find("one:unverified", system=None, say=lambda _: None).policy, found.run, version="0")
    assert "No paired sealed exam" in candidate
    assert "Known drops" not in candidate
    base = find("one:base", system=None, say=lambda _: None)
    assert "unchanged" in card(base.policy, base.run, version="0")


def test_a_drop_is_named_in_the_card_and_words_in_it_are_no_markup(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instar.report import card as module

    monkeypatch.setenv("INSTAR_RUNS", str(made))
    found = find("one", system=None, say=lambda _: None)
    true = module._facts(found.policy, made / "one")
    worse = {"base": 0.9, "final": 0.4, "gain": -0.5, "low": -0.6, "high": -0.4, "n": 20, "best_constant": None}
    true["sealed"]["abilities"] = {"a|b <img src=x>": worse}
    monkeypatch.setattr(module, "_facts", lambda *_: true)
    text = card(found.policy, made / "one", version="0")
    assert "-50.0 points (-60.0 to -40.0), beyond chance" in text
    assert "<img" not in text.replace("\\<img", "")


def test_a_card_names_the_files_of_the_tasks_and_not_the_folders_of_who_made_it() -> None:
    tasks = {"op": "jsonl", "path": "/home/ada/secret/mine.jsonl", "train": None, "inner": [{"path": "/x/y.csv"}]}
    assert without_folders(tasks) == {"op": "jsonl", "path": "mine.jsonl", "train": None, "inner": [{"path": "y.csv"}]}
    assert without_folders({"dataset": "openai/gsm8k", "n": 3}) == {"dataset": "openai/gsm8k", "n": 3}
