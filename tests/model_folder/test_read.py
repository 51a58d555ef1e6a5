"""Folders in unusual spellings that mean one model: all engines, the trainer and plain transformers say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.chat import ChatTokenizer
from instar.engines.native import build
from instar.errors import EngineError, ModelError
from instar.export.folder import save
from instar.model_folder.folder import admit, context_of, plain_llama, read
from instar.model_folder.rope import Rope
from instar.update.weights.trainer.model import Lora, open_trainable
from tests.engines.architectures import make_other
from tests.engines.tiny import make_model, user
from tests.model_folder.readers import ENGINES, READERS, reply_of
from tests.model_folder.test_refused import LINEAR, Break, added, both, config, lacks, weights

OLD = both(lacks("rope_parameters"), config(rope_theta=5e5))


def as_is(folder: Path) -> None:
    """Nothing."""


def repeated_head(folder: Path) -> None:
    config(tie_word_embeddings=True)(folder)
    weights(lambda w: {**w, "lm_head.weight": w["model.embed_tokens.weight"]})(folder)


SPELLINGS: dict[str, Break] = {
    "as it is": as_is,
    "theta beside the rope": OLD,
    "no rope at all": lacks("rope_parameters"),
    "the same rope twice": config(
        rope_scaling={"type": "default", "rope_theta": 10000.0}, rope_theta=10000.0, partial_rotary_factor=1.0
    ),
    "a rope of null": both(OLD, config(rope_scaling=None)),
    "no epsilon": lacks("rms_norm_eps"),
    "heads of null": config(head_dim=None, num_key_value_heads=1),
    "another name for silu": config(hidden_act="swish"),
    "no class named": lacks("architectures"),
    "tied, the head repeated": repeated_head,
    "tied, no head": both(
        config(tie_word_embeddings=True), weights(lambda w: {k: v for k, v in w.items() if k != "lm_head.weight"})
    ),
    "inv_freq in the file": weights(
        lambda w: {**w, "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(16, np.float32)}
    ),
    "halves": weights(lambda w: {k: v.astype(np.float16) for k, v in w.items()}),
    "doubles": weights(lambda w: {k: v.astype(np.float64) for k, v in w.items()}),
    "left-overs that say nothing": config(
        sliding_window=4096, use_sliding_window=False, layer_types=["full_attention"] * 2, logits_scaling=1.0,
        pretraining_tp=2, num_local_experts=None, unsloth_version="2026.1", _name_or_path="x", task=None,
    ),
    "a picture's token that no text becomes": added(special=True, text="<image_soft_token>"),
}  # fmt: skip


def reference(folder: Path, ids: list[int]) -> list[int]:
    """What transformers says, left alone: the likeliest token, each time from the whole text."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return chosen(model, ids)


def chosen(model: Any, ids: list[int]) -> list[int]:
    import torch

    out: list[int] = []
    with torch.no_grad():
        while len(out) < 8 and 2 not in out:
            logits = model(input_ids=torch.tensor([ids + out]), use_cache=False).logits
            out.append(int(logits[0, -1].argmax()))
    return out


@pytest.mark.parametrize("kind", SPELLINGS)
def test_an_unusual_spelling_is_one_model_to_all_who_read_it(tmp_path: Path, kind: str) -> None:
    folder = make_model(tmp_path / "m", seed=4)
    SPELLINGS[kind](folder)
    ids = ChatTokenizer.load(folder).prompt_ids(user("what is 3 ?"))
    want = reference(folder, ids)
    engines = [e for e in ENGINES if e != "native" or build.why_not("f32") is None]
    assert {e: list(reply_of(e, folder).token_ids or ()) for e in engines} == dict.fromkeys(engines, want)
    trainable = open_trainable(folder, None, 0)
    trainable.model.eval()
    trainable.model.set_attn_implementation("eager")
    assert chosen(trainable.model, ids) == want
    READERS["obtain"](folder)
    if kind.startswith(("as it is", "tied")):  # what is saved is read as what was trained
        save(trainable, folder, tmp_path / "trained")
        assert reference(tmp_path / "trained", ids) == want
        assert list(reply_of(engines[0], tmp_path / "trained").token_ids or ()) == want


OWN: dict[str, tuple[Break, str]] = {
    "linear": (both(lacks("rope_parameters"), config(rope_scaling={"type": "linear", "factor": 4})), "rope type"),
    "linear, twice the same": (
        config(rope_parameters={**LINEAR, "rope_theta": 1e4}, rope_scaling={"type": "linear", "factor": 4}),
        "rope type",
    ),
    "a share of each head": (config(partial_rotary_factor=0.5), "0.5 of each head"),
    "a setting nobody here knows": (config(brand_new_scale=0.3), "brand_new_scale"),
    "gelu": (config(hidden_act="gelu"), "activation 'gelu'"),
    "tensors without their prefix": (
        weights(lambda w: {k.removeprefix("model."): v for k, v in w.items()}), "prefix model."),
}  # fmt: skip


@pytest.mark.parametrize("kind", OWN)
def test_what_only_transformers_can_express_is_refused_by_the_others_with_its_name(tmp_path: Path, kind: str) -> None:
    folder = make_model(tmp_path / "m", seed=4)
    change, says = OWN[kind]
    change(folder)
    for reader in ("native", "openvino", "gguf"):
        with pytest.raises(ModelError, match=says) as caught:
            READERS[reader](folder)
        assert "engine=transformers" in caught.value.hint
    ids = ChatTokenizer.load(folder).prompt_ids(user("what is 3 ?"))
    assert list(reply_of("transformers", folder).token_ids or ()) == reference(folder, ids)
    READERS["trainer"](folder)


TYPED = {"type": "longrope", "original_max_position_embeddings": 32, "factor": 8.0,
         "short_factor": [1.0] * 16, "long_factor": [4.0] * 16}  # fmt: skip
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 32, "factor": 8.0,
        "short_factor": [1.0] * 16, "long_factor": [4.0] * 16}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        config(rope_parameters={**LONG, "rope_theta": 1e4}),
        both(lacks("rope_parameters"), config(rope_theta=1e4, rope_scaling=TYPED)),
        both(
            lacks("rope_parameters"),
            config(
                rope_scaling={k: v for k, v in LONG.items() if not k.startswith("orig")},
                original_max_position_embeddings=32,
            ),
        ),
    ],
)
def test_angles_that_hang_on_the_longest_text_are_used_only_where_they_do_not(tmp_path: Path, change: Break) -> None:
    folder = make_model(tmp_path / "m")
    change(folder)
    assert read(folder).context == ChatTokenizer.load(folder).context == 32
    with pytest.raises(EngineError, match="context is 32"):
        reply_of("transformers", folder, "what is 3 ? " * 8)
    with pytest.raises(ModelError, match="longrope"):
        READERS["native"](folder)


def test_the_positions_of_a_config_have_several_names(tmp_path: Path) -> None:
    assert context_of({"n_positions": 128}) == context_of({"text_config": {"max_position_embeddings": 128}}) == 128
    assert context_of({"max_position_embeddings": 64, "n_positions": 128}) == 64
    assert context_of({"hidden_size": 3}) is None
    dynamic = {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 64}
    assert context_of(dynamic) == 64  # below its positions its angles do not move
    folder = make_other(tmp_path / "m", "gpt2")
    assert read(folder).context == ChatTokenizer.load(folder).context == 128
    with pytest.raises(EngineError, match="context is 128"):
        reply_of("transformers", folder, "what is 3 ? " * 40)


def test_a_folder_is_normalised_once_for_all(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    both(OLD, lacks("rms_norm_eps"), lacks("max_position_embeddings"))(folder)
    llama = plain_llama(folder)
    assert (llama.head, llama.kv_heads, llama.eps, llama.context) == (32, 1, 1e-6, 2048)
    assert llama.rope == Rope("default", 5e5)
    assert admit(folder) is read(folder)  # kept until a file changes


def test_an_adapter_is_merged_into_what_the_engines_then_say(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", seed=4, tie_word_embeddings=True)
    trainable = open_trainable(folder, Lora(rank=2), 0)
    import torch

    with torch.no_grad():
        for name, p in trainable.parameters().items():
            if "lora_B" in name:
                p.add_(0.5)
    trainable.model.eval()
    trainable.model.set_attn_implementation("eager")
    ids = ChatTokenizer.load(folder).prompt_ids(user("what is 3 ?"))
    want = chosen(trainable.model, ids)
    save(trainable, folder, tmp_path / "trained")
    assert want != reference(folder, ids)
    assert {e: list(reply_of(e, tmp_path / "trained").token_ids or ()) for e in ENGINES[1:]} == dict.fromkeys(
        ENGINES[1:], want
    )
    assert json.loads((tmp_path / "trained" / "config.json").read_text())["tie_word_embeddings"] is True
