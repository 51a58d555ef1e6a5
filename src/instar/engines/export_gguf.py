"""Writes a folder of Llama weights as a GGUF file that llama.cpp loads by itself: weights, tokenizer, chat template.

Our own engine does not read GGUF (``export`` draws a graph for it): this is for taking a policy elsewhere.
``general.file_type`` must be set, or readers guess.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from instar.engines.gguf_tokenizer import write_tokenizer
from instar.engines.weights import Array, head_dim, read_config, tensors
from instar.errors import ModelError

WeightType = Literal["F32", "F16", "Q8_0"]
_FILE_TYPE = {"F32": 0, "F16": 1, "Q8_0": 7}
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


def export_gguf(folder: Path, out: Path, weight_type: WeightType = "F16") -> None:
    """Write the model in ``folder`` to ``out``: a temporary file, then a rename.

    Raises ModelError for another architecture, a setting or a tokenizer that GGUF's llama layout cannot express,
    damaged files, weights that are not finite, or a missing ``gguf`` package.
    """
    try:
        import gguf
    except ImportError as e:
        raise ModelError("The package gguf is needed to export weights.", "pip install 'instar[train]'.") from e
    try:
        config = read_config(folder)
    except ModelError as e:
        raise ModelError(
            f"GGUF is written of plain Llama models alone: {e.message}",
            "Export a Hugging Face folder, and convert that with llama.cpp's own convert_hf_to_gguf.py.",
        ) from e
    kind = gguf.GGMLQuantizationType[weight_type]
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(str(part), "llama")
    try:
        _header(writer, config, _FILE_TYPE[weight_type])
        write_tokenizer(writer, folder)
        for name, array in tensors(folder):
            values = _renamed(name, array, config)
            if values is None:
                continue
            target, value = values
            if not np.isfinite(value).all():
                raise ModelError(f"The weights {name} in {folder} are not all finite.", "The training diverged.")
            if value.ndim == 1 or weight_type == "F32":
                writer.add_tensor(target, value.astype(np.float32))
            elif weight_type == "F16" or value.shape[-1] % 32:
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
    writer.add_rope_dimension_count(head_dim(config))
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
