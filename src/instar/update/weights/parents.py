"""Model folders side by side, a stretch of a tensor at a time: whether they can be merged, and what they hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from instar.durable import to_disk
from instar.errors import ModelError, StoreError
from instar.export.folder import BESIDE_WEIGHTS
from instar.model_folder.files import WHOLE, Tensor, json_of
from instar.model_folder.folder import ModelFolder, read
from instar.model_folder.rope import ropes_of
from instar.update.weights.merging import Piece

AT_ONCE = 1 << 20
"""Numbers of one tensor that are held at a time, of each parent."""
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_HEADS = ("lm_head.weight", "embed_out.weight")
_SAME_CONFIG = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
_APART = "Merge policies that descend from one model."


def refuse_unlike(folders: Mapping[str, Path]) -> None:
    """Raises ModelError, with one sentence that names what differs, unless all of these folders (by a name for the
    reader) hold the same architecture, vocabulary and tying: other weights would make a model of noise."""
    (first, *others) = folders
    a = read(folders[first])
    for name in others:
        b = read(folders[name])
        if said := _apart(first, a, name, b):
            raise ModelError(said, _APART)


def _apart(first: str, a: ModelFolder, name: str, b: ModelFolder) -> str | None:
    if (a.kind, a.architecture) != (b.kind, b.architecture):
        kinds = (found.architecture or found.kind for found in (a, b))
        return f"{first} is a {next(kinds)} and {name} a {next(kinds)}: they cannot be merged."
    if a.rows != b.rows:
        return f"{first} has a vocabulary of {a.rows} tokens and {name} one of {b.rows}: they cannot be merged."
    if _tokenizer(a) != _tokenizer(b):
        return f"{first} and {name} have different tokenizers, so that one token is two words: they cannot be merged."
    if a.tied != b.tied:
        one, other = (first, name) if a.tied else (name, first)
        return f"In {one} the head and the embedding are one matrix, in {other} they are two: they cannot be merged."
    mine, theirs = merged_tensors(a), merged_tensors(b)
    if astray := sorted(mine.keys() ^ theirs.keys()):
        return f"{astray[0]} is in one of {first} and {name} only ({len(astray)} such tensors): they cannot be merged."
    for tensor, of in mine.items():
        if of.shape != theirs[tensor].shape:
            shapes = f"{list(of.shape)} in {first} and {list(theirs[tensor].shape)} in {name}"
            return f"{tensor} is {shapes}: they cannot be merged."
    (x, y) = (json_of(f.folder / "config.json") for f in (a, b))
    for key in _SAME_CONFIG:
        if x.get(key) != y.get(key):
            return f"{key} is {x.get(key)} in {first} and {y.get(key)} in {name}: they cannot be merged."
    if ropes_of(x, a.folder) != ropes_of(y, b.folder):  # whichever of two ways a config says it in
        return f"Positions turn otherwise in {first} than in {name} (rope): they cannot be merged."
    return None


def _tokenizer(found: ModelFolder) -> Any:
    """What its tokenizer makes of a text: all of the file but how it cuts and pads, which is no part of that."""
    path = found.folder / "tokenizer.json"
    if not path.is_file():
        return None
    return {k: v for k, v in json_of(path).items() if k not in ("truncation", "padding")}


def merged_tensors(found: ModelFolder) -> dict[str, Tensor]:
    """The weights of a folder, by name; where head and embedding are one matrix, without the copy that a file may
    hold. What is no number (a mask that a model makes itself) is none."""
    left_out = _HEADS if found.tied else ()
    tensors = sorted(found.tensors.items())
    return {name: t for name, t in tensors if t.dtype in NUMBERS and not name.endswith(left_out)}


def pieces_of(base: Tensor | None, others: Sequence[Tensor]) -> Callable[[], Iterator[Piece]]:
    """Goes through these tensors, of one shape, as ``merging.Pieces``."""

    def pieces() -> Iterator[Piece]:
        with ExitStack() as stack:
            of_others = [stack.enter_context(_Open(t)) for t in others]
            of_base = stack.enter_context(_Open(base)) if base is not None else None
            for first in range(0, prod(others[0].shape), AT_ONCE):
                last = min(first + AT_ONCE, prod(others[0].shape))
                yield Piece(of_base.read(first, last) if of_base else None, [t.read(first, last) for t in of_others])

    return pieces


class _Open:
    """A tensor in its open file. Read, not mapped: mapped pages would count as this process's memory."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.file: BinaryIO

    def __enter__(self) -> _Open:
        self.file = self.tensor.file.open("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, first: int, last: int) -> NDArray[Any]:
        """These numbers of it, as float32."""
        kind = np.dtype(NUMBERS[self.tensor.dtype])
        self.file.seek(self.tensor.first + first * kind.itemsize)
        raw = np.frombuffer(self.file.read((last - first) * kind.itemsize), kind)
        if self.tensor.dtype == "BF16":  # the upper half of a float32
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32)


def write(folder: Path, parent: ModelFolder, values: Callable[[Tensor], Iterable[NDArray[Any]]]) -> None:
    """A whole model folder like ``parent``, float32, with the ``values`` of each tensor, given in pieces.

    safetensors itself writes what is all in memory; the format is a header and the numbers, so it is written here, a
    piece at a time. Raises StoreError if the disk refuses.
    """
    tensors = merged_tensors(parent)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        with (folder / WHOLE).open("wb") as f:
            f.write(_header(tensors))
            for tensor in tensors.values():
                for piece in values(tensor):
                    f.write(np.ascontiguousarray(piece, "<f4").tobytes())
        to_disk(folder / WHOLE)
        config = json_of(parent.folder / "config.json")
        config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        for name in BESIDE_WEIGHTS:
            if (parent.folder / name).is_file():
                shutil.copyfile(parent.folder / name, folder / name)
    except OSError as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"The merged weights could not be saved to {folder}: {e}.", "Free some disk space.") from e


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    said: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        end = at + 4 * prod(tensor.shape)
        said[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(said, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def size_of(parent: ModelFolder) -> int:
    """Bytes that a merged folder takes."""
    beside = sum(os.path.getsize(parent.folder / n) for n in BESIDE_WEIGHTS if (parent.folder / n).is_file())
    return 4 * sum(prod(t.shape) for t in merged_tensors(parent).values()) + beside
