"""Tiny random models that are not Llamas, with the tokenizer of ``tiny``, as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.engines.tiny import EOS, WORDS, write_tokenizer

KINDS = ("gpt_neox", "gemma2", "gpt2", "opt")


def make_other(folder: Path, kind: str, seed: int = 0, **changed: Any) -> Path:
    """A whole model folder: 2 layers, wide random weights so that its choices are far from ties."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    common = {"vocab_size": len(WORDS), "bos_token_id": 1, "eos_token_id": EOS, "pad_token_id": 0}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
    own: dict[str, dict[str, Any]] = {
        "gpt_neox": {**wide, "intermediate_size": 48, "initializer_range": 0.4},
        # a window shorter than the texts, and soft caps: what a Llama has not
        "gemma2": {
            **wide, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8,
            "query_pre_attn_scalar": 8, "initializer_range": 0.4,
        },
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "initializer_range": 0.4},
        "opt": {**wide, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.4},
        "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, **{**common, **own[kind], **changed})
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder
