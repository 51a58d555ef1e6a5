"""What turns a text into a vector that can be compared. A memory names its embedder, for the vectors of two are of two
worlds."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from instar.errors import ConfigError
from instar.similarity import meanings, normalised

Embed = Callable[[Sequence[str]], "np.ndarray[Any, np.dtype[np.float32]]"]
"""Texts to unit rows, an array of shape (n, dimensions)."""

WIDTH = 256
_WORD = re.compile(r"\w+")


def words(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Hashed words and their trigrams, ``WIDTH`` wide: knows spellings and no meanings. Needs nothing, so it is what
    tests and the scripted model use."""
    rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in _WORD.findall(normalised(text)):
            marked = f"<{word}>"
            for part in (marked, *(marked[i : i + 3] for i in range(len(marked) - 2))):
                row[zlib.crc32(part.encode()) % WIDTH] += 1.0
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return rows


def minilm(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """all-MiniLM-L6-v2 (English), 384 wide, from the wheel of the extra ``hygiene``."""
    return np.asarray(meanings(texts), dtype=np.float32).reshape(len(texts), -1)


EMBEDDERS: Mapping[str, Embed] = MappingProxyType({"words": words, "minilm": minilm})


def embedder(name: str) -> Embed:
    """The embedder of that name. Raises ConfigError for one that does not exist."""
    if name not in EMBEDDERS:
        raise ConfigError(f"there is no embedder {name!r}.", f"There are: {', '.join(EMBEDDERS)}.")
    return EMBEDDERS[name]
