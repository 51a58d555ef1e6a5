"""Whether every token that a tokenizer can give has a row in the embedding.

Tokens are added to a tokenizer in one line, and ``resize_token_embeddings`` is forgotten as easily: the model then has
no vector for them, and looks up whatever lies behind its table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from instar.errors import ModelError
from instar.model_folder.files import json_of, optional_json

_OTHER_SENSES = re.compile("image|audio|video|vision", re.IGNORECASE)
"""Placeholders of pictures and sounds in a tokenizer that text models share (Gemma 3 has 262,144 rows and one token
more): special, so no text turns into them."""
_RESIZE = (
    "Tokens were added without model.resize_token_embeddings(len(tokenizer)): call it, train or copy the new rows, and "
    "save model and tokenizer together; or take the tokens out of the tokenizer."
)


def check_added(folder: Path, rows: int, config: Mapping[str, Any]) -> None:
    """Raises ModelError if a token that was added to the tokenizer, or that ends a reply, has no row in the embedding.

    A special token is given to a model by its chat template alone: what stands there for another sense than reading
    (``<image>``) and is not in the template may lack a row.
    """
    template = ""
    for id, text, special in _added(folder):
        if id < rows:
            continue
        template = template or _template(folder)
        if special and _OTHER_SENSES.search(text) and text not in template:
            continue
        raise ModelError(
            f"The tokenizer in {folder} has the token {text!r} ({id}), for which the model has no row: its embedding "
            f"has rows 0 to {rows - 1}.",
            _RESIZE,
        )
    for place, id in _ends(folder, config):
        if id >= rows:
            raise ModelError(
                f"{place} in {folder} names {id} as the end of a text; the model has tokens 0 to {rows - 1}.",
                "Put the right eos_token_id there, or resize the embedding (resize_token_embeddings).",
            )


def check_all(folder: Path, rows: int) -> None:
    """Raises ModelError if any word of the tokenizer has no row in the embedding."""
    model = json_of(folder / "tokenizer.json").get("model")
    words = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(words, Mapping):
        last = max((i for i in words.values() if isinstance(i, int)), default=-1)
    else:
        last = len(words) - 1 if isinstance(words, list) else -1
    if last >= rows:
        raise ModelError(
            f"The tokenizer in {folder} has words up to number {last}; the model's embedding has rows 0 to {rows - 1}.",
            f"It belongs to another model: copy the model's own. {_RESIZE}",
        )


def _added(folder: Path) -> Iterator[tuple[int, str, bool]]:
    """(id, text, special) of every token that any file of the folder adds."""
    if (folder / "tokenizer.json").is_file():
        for entry in json_of(folder / "tokenizer.json").get("added_tokens") or ():
            if isinstance(entry, Mapping) and isinstance(entry.get("id"), int):
                yield entry["id"], str(entry.get("content")), bool(entry.get("special"))
    for text, id in optional_json(folder / "added_tokens.json").items():
        if isinstance(id, int):
            yield id, text, text.startswith("<")
    listed = optional_json(folder / "tokenizer_config.json").get("added_tokens_decoder")
    for number, entry in listed.items() if isinstance(listed, Mapping) else ():
        if isinstance(entry, Mapping) and str(number).isdecimal():
            yield int(number), str(entry.get("content")), bool(entry.get("special"))


def _ends(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for place, said in (
        ("config.json", config),
        ("generation_config.json", optional_json(folder / "generation_config.json")),
    ):
        named = said.get("eos_token_id")
        for id in named if isinstance(named, list) else [named]:
            if isinstance(id, int) and not isinstance(id, bool):
                yield place, id


def _template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    own = path.read_text("utf-8", "replace") if path.is_file() else ""
    return own + str(optional_json(folder / "tokenizer_config.json").get("chat_template") or "")
