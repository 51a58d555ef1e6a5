"""Reads a folder of Llama weights: its config, and every array of ``model.safetensors`` or its shards.

It reads the format itself, because numpy has no bfloat16 and the safetensors package then refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.errors import ModelError

SUPPORTED = ("LlamaForCausalLM",)
Array = NDArray[Any]


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model that the native and openvino engines can express. Raises ModelError saying what is not."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{path} cannot be read: {e}.", "A model folder holds config.json and *.safetensors.") from e
    named = config.get("architectures") or ["(none named)"]
    if named[0] not in SUPPORTED:
        raise ModelError(
            f"The native and openvino engines cannot run {named[0]} ({folder}): they run {', '.join(SUPPORTED)}.",
            "Use engine=transformers, or a Llama-type model such as smollm2-135m.",
        )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    scaling = rope.get("rope_type", rope.get("type", "default"))
    odd = [
        text
        for wrong, text in (
            (config.get("attention_bias") or config.get("mlp_bias"), "biases"),
            (scaling != "default", f"rope type {scaling!r}"),
            (config.get("hidden_act", "silu") != "silu", f"activation {config.get('hidden_act')!r}"),
        )
        if wrong
    ]
    if odd:
        raise ModelError(
            f"The model in {folder} has {', '.join(odd)}, which the native and openvino engines cannot express.",
            "Use engine=transformers.",
        )
    return config


def kv_values_per_token(config: dict[str, Any]) -> int:
    """Numbers that one token keeps in the key and value caches of all layers."""
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    return int(2 * config["num_hidden_layers"] * heads * head_dim(config))


def head_dim(config: dict[str, Any]) -> int:
    """Numbers in one head of one position."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def tensors(folder: Path) -> Iterator[tuple[str, Array]]:
    """Names and arrays of all weights of a folder. float32 values are views of the file, others are widened to it.

    Raises ModelError for damaged or missing files.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        files = [whole]
    elif index.is_file():
        files = [folder / f for f in sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))]
    else:
        raise ModelError(f"{folder} holds no model.safetensors.", "Save the weights with save_pretrained.")
    for path in files:
        yield from _read_safetensors(path)


def _read_safetensors(path: Path) -> Iterator[tuple[str, Array]]:
    # the format: 8 bytes length, a JSON header {name: {dtype, shape, data_offsets}}, then the raw values
    try:
        data = np.memmap(path, np.uint8, "c")  # openvino shares writeable memory alone
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        if start > len(data):
            raise ValueError(f"the header wants {start} bytes, the file has {len(data)}")
        header = json.loads(data[8:start].tobytes())
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, end = entry["data_offsets"]
            yield name, _float32(data[start + first : start + end], entry["dtype"]).reshape(entry["shape"])
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"{path} is not a readable safetensors file: {e}.", "Copy the model folder again.") from e


def _float32(raw: Array, dtype: str) -> Array:
    if dtype == "F32":
        return raw.view("<f4")
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        return raw.view("<f2").astype(np.float32)
    raise ValueError(f"values of type {dtype} are not understood (F32, F16, BF16 are)")
