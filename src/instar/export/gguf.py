"""Writes a folder of Llama weights as a GGUF file with its tokenizer, for llama.cpp."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from instar.errors import ModelError
from instar.export.gguf_tokenizer import write_tokenizer
from instar.model_folder.files import Array
from instar.model_folder.folder import plain_llama, read
from instar.model_folder.llama import HEAD, Llama

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
    """Write the model in ``folder`` (config.json, model.safetensors) to ``out``: a temporary file, then a rename.

    Raises ModelError for another architecture, a setting GGUF's llama layout cannot express, files that
    ``model_folder`` refuses, or a missing ``gguf`` package.
    """
    try:
        import gguf
    except ImportError as e:
        raise ModelError("The package gguf is needed to export weights.", "pip install 'instar[train]'.") from e
    llama = plain_llama(folder)
    kind = gguf.GGMLQuantizationType[weight_type]
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(str(part), "llama")
    try:
        _header(writer, llama, _FILE_TYPE[weight_type])
        write_tokenizer(writer, folder)
        for name, tensor in read(folder).tensors.items():
            values = _renamed(name, tensor.values(), llama)
            if values is None:
                continue
            target, value = values
            if value.ndim == 1 or (weight_type == "Q8_0" and value.shape[-1] % 32):
                writer.add_tensor(target, value.astype(np.float32 if value.ndim == 1 else np.float16))
            elif weight_type == "F32":
                writer.add_tensor(target, value.astype(np.float32))
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


def _header(writer: Any, llama: Llama, file_type: int) -> None:
    writer.add_context_length(llama.context)
    writer.add_embedding_length(llama.hidden)
    writer.add_block_count(llama.layers)
    writer.add_feed_forward_length(llama.inner)
    writer.add_head_count(llama.heads)
    writer.add_head_count_kv(llama.kv_heads)
    writer.add_layer_norm_rms_eps(llama.eps)
    writer.add_rope_freq_base(llama.rope.theta)
    writer.add_rope_dimension_count(llama.head)
    writer.add_vocab_size(llama.vocab)
    writer.add_file_type(file_type)


def _renamed(name: str, array: Array, llama: Llama) -> tuple[str, Array] | None:
    """The GGUF name and layout of a tensor; None for one that GGUF leaves out."""
    if name in _WHOLE:
        return None if name == HEAD and llama.tied else (f"{_WHOLE[name]}.weight", array)
    if name.endswith("rotary_emb.inv_freq"):
        return None
    parts = name.split(".", 3)
    stem = parts[3].removesuffix(".weight") if len(parts) == 4 else ""
    if parts[:2] != ["model", "layers"] or stem not in _BLOCK:
        raise ModelError(f"The weights hold {name}, which is no part of a Llama model.", "Merge adapters before use.")
    if stem == "self_attn.q_proj":
        array = _interleaved(array, llama.heads)
    elif stem == "self_attn.k_proj":
        array = _interleaved(array, llama.kv_heads)
    return f"blk.{parts[2]}.{_BLOCK[stem]}.weight", array


def _interleaved(w: Array, heads: int) -> Array:
    """Rows [out, in] from Hugging Face's halves to GGUF's pairs: the two rotate differently."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
