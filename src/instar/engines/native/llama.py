"""A Llama in our kernels: its weights packed for this processor, its cache of pages, and one step of many rows.

What a row gives depends on nothing but the row's own sequence, to the last bit: not on the rows beside it, nor on how
many threads there are.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar.engines.native import build
from instar.errors import EngineError, ModelError
from instar.model_folder.adapter import Adapter
from instar.model_folder.files import Array
from instar.model_folder.folder import plain_llama, read
from instar.model_folder.llama import EMBED, HEAD, NORM

PAGE = 16
"""Positions in a page of the cache."""
PRECISIONS = ("f32", "bf16")
BYTES = {"f32": 4, "bf16": 2}
MOST_HEAD = 512

Ints = NDArray[np.int32]
SAMPLING = np.dtype([("temperature", "<f8"), ("top_p", "<f8"), ("top_k", "<i4")], align=True)
"""As the kernels read it: temperature 0 is the likeliest token, top_p 1 and top_k 0 are all tokens."""


class _Shape(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int32) for n in ("hidden", "inner", "layers", "heads", "kv_heads", "head", "vocab", "context")),
        *((n, ctypes.c_int32) for n in ("tied", "pages", "threads")),
        ("eps", ctypes.c_float),
    )


class _Step(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int32) for n in ("rows", "lasts", "draws", "table_stride", "alone")),
        *((n, ctypes.c_void_p) for n in ("ids", "positions", "sequences", "tables", "last", "of")),
        *((n, ctypes.c_void_p) for n in ("samplings", "keys", "places", "tokens", "logits")),
    )


@dataclass(frozen=True)
class Shape:
    """What of a config the kernels need to know."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocab: int
    context: int
    tied: bool
    eps: float
    base: float
    kv_values: int

    @classmethod
    def of(cls, folder: Path) -> Shape:
        """From a folder. Raises ModelError, naming what the kernels cannot run."""
        llama = plain_llama(folder)
        made = cls(
            hidden=llama.hidden,
            inner=llama.inner,
            layers=llama.layers,
            heads=llama.heads,
            kv_heads=llama.kv_heads,
            head=llama.head,
            vocab=llama.vocab,
            context=llama.context,
            tied=llama.tied,
            eps=llama.eps,
            base=llama.rope.theta,
            kv_values=llama.kv_values_per_token(),
        )
        odd = [
            text
            for wrong, text in (
                (made.hidden % 16, f"a hidden size of {made.hidden}, not a multiple of 16"),
                (made.head % 32, f"heads of {made.head} numbers, not a multiple of 32"),
                (made.head > MOST_HEAD, f"heads of {made.head} numbers, more than {MOST_HEAD}"),
            )
            if wrong
        ]
        if odd:
            raise ModelError(
                f"The model in {folder} has {', and '.join(odd)}: the native engine cannot run it.",
                "Use engine openvino or transformers.",
            )
        return made


class Llama:
    """Weights of a folder at one precision. Used by one thread at a time.

    ``pages`` is how many pages of the cache there are to use, numbered from 1: page 0 is never written to.
    """

    def __init__(
        self, folder: Path, precision: str, cache_gb: float, threads: int | None = None, *,
        adapter: Adapter | None = None,
    ) -> None:  # fmt: skip
        missing = build.why_not(precision)
        if missing is not None:
            raise ModelError(missing, "Use another precision, or engine openvino or transformers.")
        self.shape = shape = Shape.of(folder)
        self.pages = int(cache_gb * 2**30 / (PAGE * shape.kv_values * BYTES[precision]))
        # no token can stand beyond what the cache holds: no angles are kept for those places
        self.context = min(shape.context, max(1, self.pages) * PAGE)
        self._library = _typed(build.library())
        self._handle: int | None = None
        given = _Shape(
            *(shape.hidden, shape.inner, shape.layers, shape.heads, shape.kv_heads, shape.head, shape.vocab),
            *(self.context, int(shape.tied), self.pages + 1, threads or usable_cpus(), shape.eps),
        )
        self._handle = self._library.instar_open(ctypes.byref(given), 8 * BYTES[precision])
        if not self._handle:
            raise EngineError(f"The kernels could not be opened: {self._said()}.", "Lower engine_options.cache_gb.")
        try:
            self._set("rotations", 0, _rotations(shape, self.context))
            for name, layer, array in _parts(shape, folder, adapter):
                self._set(name, layer, array)
        except BaseException:
            self.close()
            raise

    def step(
        self,
        ids: Ints,
        positions: Ints,
        sequences: Ints,
        tables: Ints,
        last: Ints,
        of: Ints,
        samplings: NDArray[Any],
        keys: NDArray[np.uint64],
        places: Ints,
        *,
        alone: bool,
        logits: NDArray[np.float32] | None = None,
    ) -> Ints:
        """One token a draw. Row i is token ``ids[i]`` at ``positions[i]`` of the sequence whose pages are
        ``tables[sequences[i]]``; draw j is made from the logits of row ``last[of[j]]``, as ``samplings[j]`` says, with
        the number that ``keys[j]`` has at ``places[j]``. All arrays contiguous.

        ``alone``: no row reads a page that another row of this step writes to. ``logits`` [len(last), vocabulary] is
        filled where it is given. Raises EngineError.
        """
        tokens = np.empty(len(of), np.int32)
        given = _Step(
            *(len(ids), len(last), len(of), tables.shape[1], int(alone)),
            *(a.ctypes.data for a in (ids, positions, sequences, tables, last, of, samplings, keys, places, tokens)),
            None if logits is None else logits.ctypes.data,
        )
        if self._library.instar_step(self._handle, ctypes.byref(given)):
            raise EngineError(f"The kernels failed: {self._said()}.", "Lower engine_options.rows.", transient=True)
        return tokens

    def copy(self, source: int, target: int) -> None:
        """One page's keys and values of all layers become another's."""
        self._library.instar_copy(self._handle, source, target)

    def close(self) -> None:
        """Free the memory."""
        if self._handle:
            self._library.instar_close(self._handle)
            self._handle = None

    def _set(self, name: str, layer: int, array: NDArray[np.float32]) -> None:
        if self._library.instar_set(self._handle, name.encode(), layer, array.ctypes.data, 0, array.shape[0]):
            raise EngineError(f"The kernels refused {name} of layer {layer}: {self._said()}.", "Free some memory.")

    def _said(self) -> str:
        said: bytes = self._library.instar_error()
        return said.decode("utf-8", "replace")


def usable_cpus() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0))


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.instar_open.restype, library.instar_open.argtypes = pointer, (pointer, integer)
    library.instar_error.restype, library.instar_error.argtypes = ctypes.c_char_p, ()
    library.instar_set.restype = integer
    library.instar_set.argtypes = (pointer, ctypes.c_char_p, integer, pointer, integer, integer)
    library.instar_step.restype, library.instar_step.argtypes = integer, (pointer, pointer)
    library.instar_copy.restype, library.instar_copy.argtypes = None, (pointer, integer, integer)
    library.instar_close.restype, library.instar_close.argtypes = None, (pointer,)
    return library


def _rotations(shape: Shape, context: int) -> NDArray[np.float32]:
    """[context, cosines and sines, half a head]; angles in float32, as transformers has them."""
    steps = (shape.base ** -(np.arange(0, shape.head, 2) / shape.head)).astype(np.float32)
    out = np.empty((context, 2, shape.head // 2), np.float32)
    for at in range(0, context, 4096):  # not all of a long context in float64 at once
        angles = (np.arange(at, min(at + 4096, context), dtype=np.float32)[:, None] * steps).astype(np.float64)
        out[at : at + 4096, 0], out[at : at + 4096, 1] = np.cos(angles), np.sin(angles)
    return out


def _parts(shape: Shape, folder: Path, adapter: Adapter | None) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Every tensor of the folder, with what an adapter adds to it, under the kernels' name for it."""
    tensors = read(folder).tensors
    if adapter is not None:
        adapter.refuse_strange({name: tensor.shape for name, tensor in tensors.items()})
    names = {EMBED: "embed", NORM: "norm", HEAD: "head"}
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq") or (shape.tied and name == HEAD):
            continue  # some files repeat what is known
        part, layer = names.get(name), 0
        if part is None:  # model.layers.3.self_attn.q_proj.weight
            _, _, number, *_, part, _ = name.split(".")
            layer = int(number)
        values = tensor.values()
        added = None if adapter is None else adapter.delta(name)
        yield part, layer, _plain(values if added is None else values + added)


def _plain(array: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
