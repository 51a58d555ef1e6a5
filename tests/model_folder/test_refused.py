"""Folders that two libraries would read differently, or that are torn: each refused, by all who read one, with what to
do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.errors import ModelError
from instar.model_folder.files import weight_files
from instar.model_folder.folder import read
from instar.update.weights.trainer.model import Lora, open_trainable
from tests.engines.architectures import make_other
from tests.engines.tiny import WORDS, make_model
from tests.model_folder.readers import READERS

Break = Callable[[Path], None]
UP = "model.layers.1.mlp.up_proj.weight"


def config(**changed: Any) -> Break:
    """These keys of config.json."""

    def broken(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return broken


def lacks(key: str) -> Break:
    def broken(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))

    return broken


def weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    def broken(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")

    return broken


def with_value(value: float, dtype: type = np.float32) -> Break:
    def changed(held: dict[str, Any]) -> dict[str, Any]:
        held[UP] = held[UP].astype(dtype)
        held[UP][3, 4] = value
        return held

    return weights(changed)


def file(name: str, text: str) -> Break:
    return lambda folder: (folder / name).write_text(text) and None


def shards(names: list[str], map_to: Callable[[int], str]) -> Break:
    """The weights in two files; the index says ``map_to`` of each tensor's number."""

    def broken(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        held = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        all_names = sorted(held)
        for i, name in enumerate(names):
            save_file({k: held[k] for j, k in enumerate(all_names) if j % 2 == i}, folder / name)
        index = {k: map_to(j) for j, k in enumerate(all_names)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))

    return broken


def added(special: bool, text: str = "<reason>") -> Break:
    def broken(folder: Path) -> None:
        path = folder / "tokenizer.json"
        held = json.loads(path.read_text())
        held["added_tokens"].append(
            {"id": len(WORDS), "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": special}
        )  # fmt: skip
        path.write_text(json.dumps(held))

    return broken


def both(*breaks: Break) -> Break:
    def broken(folder: Path) -> None:
        for one in breaks:
            one(folder)

    return broken


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12914024\n"
ANNEXED = "/annex/objects/SHA256E-s12914024--4d7a.safetensors\n"


LINEAR = {"rope_type": "linear", "factor": 4.0}
REFUSED: dict[str, tuple[Break, str]] = {
    "tied, with a head of its own": (config(tie_word_embeddings=True), "differs from model.embed_tokens.weight"),
    "two ropes": (config(rope_scaling=LINEAR), "in two ways that differ"),
    "two thetas": (config(rope_theta=5e5), "rope_theta twice and differently"),
    "two types of one rope": (
        config(rope_parameters={"rope_type": "llama3", "type": "linear", "factor": 4.0}), "two types of rope"),
    "a rope that is no table": (config(rope_parameters="default"), "which is no table"),
    "a turned share beyond all": (config(partial_rotary_factor=1.5), "numbers that no rope can have"),
    "an adapter's config beside": (file("adapter_config.json", "{}"), "holds an adapter"),
    "an adapter's weights beside": (file("adapter_model.safetensors", ""), "holds an adapter"),
    "quantised": (config(quantization_config={"quant_method": "fp8"}), "are quantised"),
    "a window": (config(sliding_window=8), "sliding_window = 8"),
    "soft caps": (config(final_logit_softcapping=30.0), "final_logit_softcapping"),
    "a scale of the logits": (config(logits_scaling=4.0), "logits_scaling"),
    "kinds of layers": (config(layer_types=["full_attention", "sliding_attention"]), "layer_types"),
    "experts": (config(num_local_experts=4), "num_local_experts"),
    "layers without rope": (config(no_rope_layers=[1, 0]), "no_rope_layers"),
    "no model_type": (lacks("model_type"), "names no model_type"),
    "another model_type": (config(model_type="mistral"), "do not belong together"),
    "another head": (config(architectures=["LlamaForSequenceClassification"]), "do not belong together"),
    "another inner size": (config(intermediate_size=64), "its config.json says .64, 64"),
    "other heads": (config(num_attention_heads=4), "its config.json says"),
    "another vocabulary": (config(vocab_size=20), "its config.json says .20, 64."),
    "fewer layers than there are": (config(num_hidden_layers=1), "no part of a Llama"),
    "more layers than there are": (config(num_hidden_layers=3), "lack 9 of the model's tensors"),
    "heads that do not divide": (config(num_attention_heads=3), "which they do not divide"),
    "a size that is no count": (config(hidden_size="64"), "is no count"),
    "an epsilon that is none": (config(rms_norm_eps=-1.0), "rms_norm_eps = -1.0"),
    "biases in the file alone": (
        weights(lambda w: {**w, "model.layers.0.mlp.up_proj.bias": np.ones(96, np.float32)}), "no part of a Llama"),
    "untied, without a head": (
        weights(lambda w: {k: v for k, v in w.items() if k != "lm_head.weight"}), '"tie_word_embeddings": true'),
    "not a number": (with_value(np.nan), f"{UP} .* not all finite"),
    "without end": (with_value(-np.inf), "not all finite"),
    "without end, in halves": (with_value(np.inf, np.float16), "not all finite"),
    "whole numbers": (weights(lambda w: {**w, "model.norm.weight": np.ones(64, np.int32)}), "is of type I32"),
    "cut short": (cut, "not a readable safetensors"),
    "a pointer for weights": (file("model.safetensors", POINTER), "Git LFS pointer.* lfs pull"),
    "a pointer of git-annex": (file("model.safetensors", ANNEXED), "git-annex pointer.* annex get model.safetensors"),
    "a pointer for the tokenizer": (file("tokenizer.json", POINTER), "Git LFS pointer"),
    "a pointer for the config": (file("config.json", POINTER), "Git LFS pointer"),
    "a config that is no JSON": (file("config.json", "{"), "cannot be read|not valid JSON"),
    "a shard gone": (shards(["a.safetensors"], lambda j: "ab"[j % 2] + ".safetensors"), "lacks 1 of the 2 files"),
    "an index that is wrong": (
        shards(["a.safetensors", "b.safetensors"], lambda j: "ba"[j % 2] + ".safetensors"), "where it is not"),
    "an index that leads out": (
        shards(["a.safetensors", "b.safetensors"], lambda j: "../a.safetensors"), "no .*safetensors of this folder"),
    "weights twice": (
        file("model.safetensors.index.json", '{"weight_map": {"lm_head.weight": "a.safetensors"}}'), "weights twice"),
    "an added token": (added(special=False), "'<reason>' .*no row"),
    "a special added token": (added(special=True), "'<reason>' .*no row"),
    "an added token elsewhere": (file("added_tokens.json", '{"<think>": 24}'), "'<think>'"),
    "an end without a row": (config(eos_token_id=[2, 99]), "names 99 as the end"),
    "an end without a row elsewhere": (file("generation_config.json", '{"eos_token_id": 24}'), "generation_config"),
    "a picture's token in the template": (
        both(added(True, "<image>"), file("chat_template.jinja", "<image>{{ messages[0].content }}")), "<image>"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_folder_that_is_not_understood_is_refused_by_all_who_read_one(tmp_path: Path, kind: str, reader: str) -> None:
    breaks, says = REFUSED[kind]
    breaks(make_model(tmp_path / "m"))
    with pytest.raises(ModelError, match=says) as caught:
        READERS[reader](tmp_path / "m")
    told = f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint
    assert str(tmp_path / "m") in told  # the user's folder, not a copy of it


@pytest.mark.parametrize("reader", [r for r in READERS if r in ("obtain", "dry run")])
def test_a_tokenizer_of_another_model_is_found_when_a_folder_is_taken_in(tmp_path: Path, reader: str) -> None:
    folder = make_model(tmp_path / "m", vocab_size=20)
    with pytest.raises(ModelError, match=r"words up to number 23; .* rows 0 to 19"):
        READERS[reader](folder)


def test_a_folder_that_was_mended_is_read_again(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    config(rope_theta=5e5)(folder)
    with pytest.raises(ModelError):
        READERS["transformers"](folder)
    config(rope_theta=1e4)(folder)
    READERS["transformers"](folder)
    config(rope_theta=5e5)(folder)
    with pytest.raises(ModelError):
        READERS["transformers"](folder)


def own_head(name: str) -> Break:
    return weights(lambda w: {**w, name: np.ones((len(WORDS), 32), np.float32)})


OTHERS: dict[str, tuple[str, Break, str]] = {
    "another head": (
        "gpt2", config(architectures=["GPT2ForSequenceClassification"]), r"names the class .* runs GPT2LMHeadModel"),
    "tied by its class, with a head of its own": ("gemma2", own_head("lm_head.weight"), "lm_head.weight that differs"),
    "tied by its config, with a head of its own": (
        "gpt_neox", config(tie_word_embeddings=True), "embed_out.weight that differs"),
    "a tensor too many": ("gpt_neox", weights(lambda w: {**w, "score.weight": np.ones(3, np.float32)}), "no part of"),
    "a tensor too few": (
        "gpt2", weights(lambda w: {k: v for k, v in w.items() if "h.1.mlp.c_fc.bias" not in k}), "lack 1 of"),
    "fewer layers than there are": ("gpt_neox", config(num_hidden_layers=1), "no part of"),
    "another size": ("gpt_neox", config(intermediate_size=64), "cannot load"),
    "two ropes": ("gpt_neox", both(config(rope_parameters={"rope_type": "default"}), config(rope_scaling=LINEAR)),
                  "in two ways that differ"),
    "a Falcon with alibi": (
        "gpt2", config(model_type="falcon", architectures=["FalconForCausalLM"], alibi=True), "alibi"),
    "quantised": ("gpt2", config(quantization_config={"bits": 4}), "are quantised"),
    "an added token": ("gpt2", added(special=False), "no row"),
    "not a number": ("gpt2", weights(lambda w: {k: v * np.float32("nan") for k, v in w.items()}), "not all finite"),
}  # fmt: skip


@pytest.mark.parametrize("reader", ["transformers", "trainer"])
@pytest.mark.parametrize("kind", OTHERS)
def test_the_same_kinds_are_refused_for_a_model_that_is_no_llama(tmp_path: Path, kind: str, reader: str) -> None:
    architecture, breaks, says = OTHERS[kind]
    breaks(make_other(tmp_path / "m", architecture))
    with pytest.raises(ModelError, match=says) as caught:
        READERS[reader](tmp_path / "m")
    assert caught.value.hint


@pytest.mark.parametrize(
    "targets", [("q_proj", "lm_head"), ("embed_tokens",), "model.embed_tokens", "lm_head|.*v_proj"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_on_a_matrix_that_is_head_and_embedding_is_refused_before_training(
    tmp_path: Path, targets: str | tuple[str, ...], tied: bool
) -> None:
    folder = make_model(tmp_path / "m", tie_word_embeddings=tied)
    lora = Lora(rank=2, target_modules=targets)
    if tied:
        with pytest.raises(ModelError, match="cannot be saved"):  # as a run's start asks, without torch
            read(folder).refuse_adapter_on(targets)
        with pytest.raises(ModelError, match=r"cannot be saved.*tie_word_embeddings"):
            open_trainable(folder, lora, 0)
    else:
        read(folder).refuse_adapter_on(targets)
        open_trainable(folder, lora, 0)
    open_trainable(folder, Lora(rank=2), 0)  # all-linear leaves both alone


def test_a_link_that_git_annex_left_is_named_with_what_fetches_the_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(f"../.git{ANNEXED.strip()}")
    with pytest.raises(ModelError, match=r"git-annex pointer.* annex get model\.safetensors"):
        weight_files(tmp_path)
