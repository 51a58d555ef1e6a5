"""The state of a training run on disk: written whole or not at all, and verified when it is read.

A checkpoint is a folder ``checkpoint-<step>`` with ``state.safetensors`` (trained parameters and both moments of AdamW,
float32) and ``checkpoint.json`` (the step, the history, what it belongs to, the hash of the other file). It is written
under another name and renamed when complete, so that a kill leaves the previous one; that one goes only afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from instar.durable import to_disk
from instar.errors import StoreError

if TYPE_CHECKING:
    import torch

TENSORS = "state.safetensors"
MANIFEST = "checkpoint.json"
_BLOCK = 1 << 22


class Checkpoint(NamedTuple):
    """Where a training run stands, and all it needs to go on."""

    step: int
    """Optimiser steps done."""
    belongs: str
    """A digest of the data, the settings, the seed and the starting weights."""
    history: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def write(scratch: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into ``scratch``, then remove the ones before it. Raises StoreError if the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    place = scratch / f"checkpoint-{checkpoint.step}"
    temporary = scratch / f"writing-{os.getpid()}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(checkpoint.tensors, temporary / TENSORS)
        manifest = {
            "step": checkpoint.step,
            "belongs": checkpoint.belongs,
            "history": checkpoint.history,
            "sha256": _sha256(temporary / TENSORS),
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest), "utf-8")
        for name in (TENSORS, MANIFEST):
            to_disk(temporary / name)
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
        to_disk(scratch)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StoreError(
            f"The training checkpoint of step {checkpoint.step} could not be written to {scratch}: {e}.",
            "Free some disk space and resume: the previous checkpoint is kept.",
        ) from e
    for older in _checkpoints(scratch):
        if older != place:
            shutil.rmtree(older, ignore_errors=True)
    return place


def read(scratch: Path) -> Checkpoint | None:
    """The newest checkpoint in ``scratch``, verified; None if there is none.

    Raises StoreError naming the file if it is damaged.
    """
    found = _checkpoints(scratch)
    if not found:
        return None
    place = found[-1]
    try:
        manifest: Mapping[str, Any] = json.loads((place / MANIFEST).read_text("utf-8"))
        step, belongs, history = int(manifest["step"]), str(manifest["belongs"]), dict(manifest["history"])
        told = str(manifest["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise _damaged(place / MANIFEST, f"it cannot be read ({type(e).__name__})") from e
    try:
        really = _sha256(place / TENSORS)
    except OSError as e:
        raise _damaged(place / TENSORS, str(e)) from e
    if really != told:
        raise _damaged(place / TENSORS, f"its SHA-256 is {really[:12]}..., but {told[:12]}... was written")
    from safetensors.torch import load_file

    return Checkpoint(step, belongs, history, load_file(place / TENSORS))


def clear(scratch: Path) -> None:
    """Remove every checkpoint, whole or half written, and nothing else."""
    for place in (*_checkpoints(scratch), *scratch.glob("writing-*")):
        shutil.rmtree(place, ignore_errors=True)


def size(scratch: Path) -> int:
    """Bytes that checkpoints take in ``scratch`` now."""
    return sum(f.stat().st_size for place in _checkpoints(scratch) for f in place.iterdir())


def _checkpoints(scratch: Path) -> list[Path]:
    places = [p for p in scratch.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()]
    return sorted(places, key=lambda p: int(p.name.removeprefix("checkpoint-")))


def _damaged(file: Path, why: str) -> StoreError:
    return StoreError(
        f"The training checkpoint {file} is damaged: {why}.",
        f"Delete the folder {file.parent} and resume: training restarts from its beginning, finished calls are kept.",
    )


def _sha256(file: Path) -> str:
    h = hashlib.sha256()
    with file.open("rb") as f:
        while block := f.read(_BLOCK):
            h.update(block)
    return h.hexdigest()
