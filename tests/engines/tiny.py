"""A tiny random Llama of 24 words, written without torch, and a store of folders: real files, loaded in a blink."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from instar.records import Message, Policy, Role, Weights

WORDS = ["<pad>", "<bos>", "<eos>", "what", "is", "?", "system", "user", "assistant", *(str(i) for i in range(15))]
EOS = 2
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    "vocab_size": len(WORDS),
    "tie_word_embeddings": False,
    "eos_token_id": EOS,
    "hidden_act": "silu",
}
TEMPLATE = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' <eos> ' }}{% endfor %}assistant"


def tensors(seed: int, config: Mapping[str, Any] = CONFIG) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Random weights under their Hugging Face names, float32."""
    rng = np.random.default_rng(seed)
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocab, hidden),
        "lm_head.weight": (vocab, hidden),
    }
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        shapes |= {at + f"self_attn.{x}_proj.weight": (hidden, hidden) for x in "qo"}
        shapes |= {at + f"self_attn.{x}_proj.weight": (kv, hidden) for x in "kv"}
        shapes |= {at + f"mlp.{x}_proj.weight": (inner, hidden) for x in ("gate", "up")}
        shapes[at + "mlp.down_proj.weight"] = (hidden, inner)
    made = {k: (rng.standard_normal(s) * 0.15).astype(np.float32) for k, s in shapes.items()}
    if config["tie_word_embeddings"]:
        made["lm_head.weight"] = made["model.embed_tokens.weight"].copy()  # some files repeat it
    ones = np.ones(hidden, np.float32)
    made["model.norm.weight"] = ones
    for i in range(config["num_hidden_layers"]):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"model.layers.{i}.{norm}.weight"] = ones
    return made


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<pad>", "<bos>", "<eos>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<eos>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def make_model(folder: Path, seed: int = 0, **changed: Any) -> Path:
    """A whole model folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, **changed}
    save_file(tensors(seed, config), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return folder


class FolderStore:
    """The smallest artefact store: a digest is the name of a folder. Counts how often one is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened = 0

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        folder.rename(self.root / folder.name)
        return folder.name

    def open(self, digest: str) -> Path:
        self.opened += 1
        return self.root / digest

    def has(self, digest: str) -> bool:
        return (self.root / digest).is_dir()


def policy_of(digest: str, system: str | None = None) -> Policy:
    return Policy(weights=Weights(place="artefact", digest=digest, name=digest), system=system).identified()


def user(text: str) -> list[Message]:
    return [Message(role=Role.user, content=text)]
