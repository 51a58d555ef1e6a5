"""The files of a model folder: which hold the weights, and where in them each tensor lies.

It reads the safetensors format itself: numpy has no bfloat16, and the safetensors package then refuses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.errors import ModelError

Array = NDArray[Any]
AGAIN = "Copy the model folder again."
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_POINTER = b"version https://git-lfs.github.com/spec/"
_ANNEX = b"/annex/objects/"
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Tensor:
    """One tensor as a file's header describes it."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    first: int
    """Its first byte in the file."""
    bytes: int

    def values(self) -> Array:
        """As float32: a writeable view of the file where it holds float32, else a copy widened (or narrowed) to it."""
        raw = np.memmap(self.file, np.uint8, "c")[self.first : self.first + self.bytes]
        return _float32(raw, self.dtype).reshape(self.shape)

    def finite(self) -> bool:
        """Whether all values are numbers."""
        if not self.bytes:
            return True
        kind = {"F64": "<f8", "F32": "<f4"}.get(self.dtype, "<u2")
        all_values = np.memmap(self.file, np.uint8, "r")[self.first : self.first + self.bytes].view(kind)
        if kind != "<u2":
            parts = (all_values[i : i + _AT_ONCE] for i in range(0, len(all_values), _AT_ONCE))
            return all(bool(np.isfinite(part).all()) for part in parts)
        most = 0x7C00 if self.dtype == "F16" else 0x7F80  # an exponent of ones: not a number, or without end
        parts = (all_values[i : i + _AT_ONCE] for i in range(0, len(all_values), _AT_ONCE))
        return not any(bool(((part & most) == most).any()) for part in parts)


def json_of(path: Path) -> dict[str, Any]:
    """A JSON table. Raises ModelError for a file that is missing, no JSON, or a pointer of Git LFS."""
    refuse_pointer(path)
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{path} cannot be read: {e}.", "A model folder holds config.json and *.safetensors.") from e
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no table.", AGAIN)
    return value


def optional_json(path: Path) -> dict[str, Any]:
    """A JSON table, empty where there is no such file. Raises ModelError as ``json_of``."""
    return json_of(path) if path.is_file() else {}


def refuse_pointer(path: Path) -> None:
    """Raises ModelError if a file is what Git LFS or git-annex leaves in place of the real one."""
    try:
        lost = path.is_symlink() and not path.exists()  # git-annex leaves such a link too
        begins = os.fsencode(path.readlink()) if lost else b""
        if not lost:
            with path.open("rb") as f:
                begins = f.read(len(_POINTER))
    except OSError:
        return  # who reads it says what is wrong with it
    if begins == _POINTER:
        raise ModelError(
            f"{path} is a Git LFS pointer, not the file itself.",
            f"Fetch the real one: git lfs install && git -C {path.parent} lfs pull",
        )
    if begins.startswith(_ANNEX) or (lost and _ANNEX in begins):
        raise ModelError(
            f"{path} is a git-annex pointer, not the file itself.",
            f"Fetch the real one: git -C {path.parent} annex get {path.name}",
        )


def refuse_adapter(folder: Path) -> None:
    """Raises ModelError if a folder of weights holds an adapter beside them: transformers would put it on without a
    word, and others would not."""
    found = [name for name in ADAPTERS if (folder / name).exists()]
    if found:
        raise ModelError(
            f"{folder} holds an adapter ({', '.join(found)}) beside the weights: transformers puts it on when it loads "
            "them, other engines do not.",
            "Merge it (peft: merge_and_unload, then save_pretrained), or move these files out of the folder.",
        )


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a folder's weights by its name. Raises ModelError for files that are missing, damaged or at odds
    with each other."""
    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        for tensor in header(path):
            if tensor.name in found:
                other = found[tensor.name].file.name
                raise ModelError(f"{folder} holds {tensor.name} twice, in {other} and in {path.name}.", AGAIN)
            found[tensor.name] = tensor
    if not found:
        raise ModelError(f"The weights in {folder} hold no tensor.", AGAIN)
    listed = _index(folder)
    astray = [n for n, f in listed.items() if n not in found or found[n].file.name != f]
    if astray:
        raise ModelError(
            f"{folder / INDEX} names {astray[0]} in {listed[astray[0]]}, where it is not ({len(astray)} such tensors).",
            AGAIN,
        )
    return found


def weight_files(folder: Path) -> list[Path]:
    """``model.safetensors``, or the shards that the index names. Raises ModelError."""
    shards = sorted({*_index(folder).values()})
    whole = folder / WHOLE
    if whole.exists() and shards and shards != [WHOLE]:
        raise ModelError(
            f"{folder} holds its weights twice: as {WHOLE}, and as {len(shards)} files that {INDEX} names.",
            f"Remove the ones that you do not mean: {WHOLE}, or the index and its files.",
        )
    files = [folder / name for name in shards] or [whole]
    lacking = [path.name for path in files if not path.is_file()]
    if astray := next((path for path in files if path.is_symlink() and not path.exists()), None):
        refuse_pointer(astray)
        raise ModelError(
            f"{astray} is a link that leads nowhere.", "Copy the folder with what its links lead to (cp -L)."
        )
    if not shards and lacking:
        raise ModelError(f"{folder} holds no {WHOLE}.", "Save the weights with save_pretrained.")
    if lacking:
        raise ModelError(
            f"{folder} lacks {len(lacking)} of the {len(shards)} files of weights that {INDEX} names: {lacking[0]}.",
            "Fetch or copy the missing files.",
        )
    return files


def _index(folder: Path) -> dict[str, str]:
    """Tensor to file, as the index says; empty where there is none."""
    path = folder / INDEX
    if not path.exists():
        return {}
    listed = json_of(path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ModelError(f"{path} holds no weight_map.", AGAIN)
    for name in listed.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{path} names {name!r}, which is no *.safetensors of this folder.", AGAIN)
    return listed


def header(path: Path) -> Iterator[Tensor]:
    """The tensors of one safetensors file. Raises ModelError for one that is missing or damaged."""
    # the format: 8 bytes length, a JSON header {name: {dtype, shape, data_offsets}}, then the raw values
    refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as f:
            began = f.read(8)
            if began.lstrip()[:1] == b"<":
                raise ValueError("it is a web page; download the file itself")
            start = 8 + int.from_bytes(began, "little")
            if start > size:
                raise ValueError(f"the header wants {start} bytes, the file has {size}")
            header: Mapping[str, Any] = json.loads(f.read(start - 8))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            (first, end), shape, dtype = entry["data_offsets"], tuple(map(int, entry["shape"])), str(entry["dtype"])
            if not 0 <= first <= end or start + end > size:
                raise ValueError(f"{name} ends at byte {start + end}, the file has {size}")
            if dtype in _BYTES and end - first != prod(shape) * _BYTES[dtype]:
                raise ValueError(f"{name} has {end - first} bytes for {list(shape)} numbers of {dtype}")
            yield Tensor(name, path, dtype, shape, start + first, end - first)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ModelError(f"{path} is not a readable safetensors file: {e}.", AGAIN) from e


def _float32(raw: Array, dtype: str) -> Array:
    if dtype == "F32":
        return raw.view("<f4")
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        return raw.view("<f2").astype(np.float32)
    if dtype == "F64":
        return raw.view("<f8").astype(np.float32)
    raise ModelError(f"Weights of type {dtype} are not understood (F64, F32, F16, BF16 are).", AGAIN)
