"""Writes a folder of Llama weights as a GGUF file that openvino reads: weights only, no tokenizer.

Reads ``model.safetensors`` (or its shards) itself, because numpy has no bfloat16 and the safetensors package then
refuses. Types that openvino 2026.4 takes are F16 and Q8_0; an F32 file it cannot read. ``general.file_type`` must be
set, or openvino fails with ``unordered_map::at``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from instar.errors import ModelError

WeightType = Literal["F16", "Q8_0"]
SUPPORTED = ("LlamaForCausalLM",)
_BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_WHOLE = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}
Array = NDArray[Any]


def export_gguf(folder: Path, out: Path, weight_type: WeightType = "F16") -> None:
    """Write the model in ``folder`` (config.json, model.safetensors) to ``out``: a temporary file, then a rename.

    Raises ModelError for another architecture, a setting GGUF's llama layout cannot express, damaged files, weights
    that are not finite, or a missing ``gguf`` package.
    """
    try:
        import gguf
    except ImportError as e:
        raise ModelError("The package gguf is needed to export weights.", "pip install 'instar[openvino]'.") from e
    config = read_config(folder)
    kind = gguf.GGMLQuantizationType[weight_type]
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(str(part), "llama")
    try:
        _header(writer, config, 1 if weight_type == "F16" else 7)
        for name, array in _tensors(folder):
            values = _renamed(name, array, config)
            if values is None:
                continue
            target, value = values
            if not np.isfinite(value).all():
                raise ModelError(f"The weights {name} in {folder} are not all finite.", "The training diverged.")
            if value.ndim == 1 or (weight_type == "Q8_0" and value.shape[-1] % 32):
                writer.add_tensor(target, value.astype(np.float32 if value.ndim == 1 else np.float16))
            elif weight_type == "F16":
                writer.add_tensor(target, value.astype(np.float16))
            else:
                writer.add_tensor(target, gguf.quants.quantize(value, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model that can be exported. Raises ModelError saying what is not supported."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{path} cannot be read: {e}.", "A model folder holds config.json and *.safetensors.") from e
    named = config.get("architectures") or ["(none named)"]
    if named[0] not in SUPPORTED:
        raise ModelError(
            f"The openvino engine cannot run {named[0]} ({folder}): it exports {', '.join(SUPPORTED)}.",
            "Use a Llama-type model such as smollm2-135m.",
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
            f"The model in {folder} has {', '.join(odd)}, which the export cannot express.", "Use another."
        )
    return config


def kv_values_per_token(config: dict[str, Any]) -> int:
    """Numbers that one token keeps in the key and value caches of all layers."""
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    return int(2 * config["num_hidden_layers"] * heads * _head_dim(config))


def _head_dim(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _header(writer: Any, config: dict[str, Any], file_type: int) -> None:
    rope = config.get("rope_parameters") or {}
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope.get("rope_theta", config.get("rope_theta", 10000.0))))
    writer.add_rope_dimension_count(_head_dim(config))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(file_type)


def _renamed(name: str, array: Array, config: dict[str, Any]) -> tuple[str, Array] | None:
    """The GGUF name and layout of a tensor; None for one that GGUF leaves out."""
    if name in _WHOLE:
        tied = name == "lm_head.weight" and config.get("tie_word_embeddings")
        return None if tied else (f"{_WHOLE[name]}.weight", array)
    if name.endswith("rotary_emb.inv_freq"):
        return None
    parts = name.split(".", 3)
    stem = parts[3].removesuffix(".weight") if len(parts) == 4 else ""
    if parts[:2] != ["model", "layers"] or stem not in _BLOCK:
        raise ModelError(f"The weights hold {name}, which is no part of a Llama model.", "Merge adapters before use.")
    heads = config["num_attention_heads"]
    if stem == "self_attn.q_proj":
        array = _interleaved(array, heads)
    elif stem == "self_attn.k_proj":
        array = _interleaved(array, config.get("num_key_value_heads") or heads)
    return f"blk.{parts[2]}.{_BLOCK[stem]}.weight", array


def _interleaved(w: Array, heads: int) -> Array:
    """Rows [out, in] from Hugging Face's halves to GGUF's pairs: the two rotate differently."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def _tensors(folder: Path) -> Iterator[tuple[str, Array]]:
    """Names and float32 arrays of all weights of a folder, one in memory at a time."""
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
        data = np.memmap(path, np.uint8, "r")
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
    raw = np.ascontiguousarray(raw)
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype in ("F32", "F16"):
        return raw.view("<f4" if dtype == "F32" else "<f2").astype(np.float32)
    raise ValueError(f"values of type {dtype} are not understood (F32, F16, BF16 are)")
