"""A model folder's tokenizer and chat template as GGUF metadata, so that llama.cpp splits text as the policy did.

Only byte-level BPE whose splitting rule llama.cpp knows by name; anything else is refused, because a wrong rule gives
other tokens and quietly another model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instar.errors import ModelError

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""gguf's TokenType."""


def write_tokenizer(writer: Any, folder: Path) -> None:
    """Add tokens, merges, special tokens and the chat template of ``folder`` to a GGUFWriter.

    Raises ModelError for a tokenizer that llama.cpp could not follow.
    """
    data = _json(folder / "tokenizer.json")
    settings = _json(folder / "tokenizer_config.json")
    config = _json(folder / "config.json") | _json(folder / "generation_config.json")
    model = data.get("model", {})
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise ModelError(
            f"The tokenizer of {folder} is {model.get('type')!r}, not byte-level BPE: the GGUF export knows no other.",
            "Export a Hugging Face folder, and convert that with llama.cpp's own convert_hf_to_gguf.py.",
        )
    rule = _splitting(data, folder)
    tokens, kinds = _tokens(data, int(config["vocab_size"]))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    ids = {t: i for i, t in enumerate(tokens)}
    for name, add in (
        ("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("unk", writer.add_unk_token_id),
        ("pad", writer.add_pad_token_id),
    ):  # fmt: skip
        id = _special(name, settings, config, ids)
        if id is not None:
            add(id)
    # the chat template writes what it wants at the beginning: llama.cpp must not add a second one
    writer.add_add_bos_token(False)
    template = folder / "chat_template.jinja"
    text = template.read_text("utf-8") if template.is_file() else settings.get("chat_template")
    if isinstance(text, str):
        writer.add_chat_template(text)


def _splitting(data: dict[str, Any], folder: Path) -> str:
    """llama.cpp's name of the rule by which text is split before merging."""
    if data.get("normalizer") is not None and data["normalizer"].get("type") != "NFC":
        raise ModelError(f"The tokenizer of {folder} normalises text, which llama.cpp would not.", _OTHER)
    pre = data.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", []) if pre.get("type") == "Sequence" else [pre]
    shape = [s.get("type") for s in steps]
    if shape == ["ByteLevel"] and steps[0].get("use_regex", True) and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    if shape == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and steps[1].get("use_regex", True):
        return "smollm"
    if shape == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        pattern = str(steps[0].get("pattern", {}).get("Regex", ""))
        if r"\p{N}{1,3}" in pattern:
            return "llama-bpe"
        if r"|\p{N}|" in pattern:
            return "qwen2"
    raise ModelError(f"llama.cpp has no name for how the tokenizer of {folder} splits text ({shape}).", _OTHER)


_OTHER = "Export a Hugging Face folder, and convert that with llama.cpp's own convert_hf_to_gguf.py."


def _tokens(data: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Every token by id, and what kind it is; holes in the vocabulary are filled with tokens that never occur."""
    by_id = {int(i): str(t) for t, i in data["model"]["vocab"].items()}
    kinds = dict.fromkeys(by_id, _NORMAL)
    for token in data.get("added_tokens", []):
        by_id[int(token["id"])] = str(token["content"])
        kinds[int(token["id"])] = _CONTROL if token.get("special") else _USER_DEFINED
    tokens = [by_id.get(i, f"[UNUSED{i}]") for i in range(size)]
    return tokens, [kinds.get(i, _UNUSED) for i in range(size)]


def _special(name: str, settings: dict[str, Any], config: dict[str, Any], ids: dict[str, int]) -> int | None:
    held = config.get(f"{name}_token_id")
    if isinstance(held, list):
        held = held[0] if held else None
    if isinstance(held, int):
        return held
    said = settings.get(f"{name}_token")
    text = said.get("content") if isinstance(said, dict) else said
    return ids.get(text) if isinstance(text, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as e:
        raise ModelError(f"{path} cannot be read: {e}.", "Copy the model folder again.") from e
    return value if isinstance(value, dict) else {}
