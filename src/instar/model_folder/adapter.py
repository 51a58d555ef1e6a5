"""A low-rank adapter on disk, as peft writes it: what it adds to which matrix, and of which weights it was made.

``base_model_name_or_path`` is the digest of those weights: on any others the numbers fit and mean nothing. What is not
understood is a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from instar.errors import ModelError
from instar.model_folder.files import Tensor, header, json_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "base_model_name_or_path"
_SAYS_NOTHING = frozenset(
    {
        BASE, "revision", "peft_version", "inference_mode", "init_lora_weights", "lora_dropout", "task_type",
        "target_modules", "exclude_modules", "auto_mapping", "qalora_group_size", "peft_type", "r", "lora_alpha",
        "use_rslora", "megatron_core",
    }
)  # fmt: skip
"""Settings that are read here, or that change nothing of what the matrices add."""
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapter:
    """Low-rank matrices for some of a model's: W becomes W + ``scale`` B A (arXiv:2106.09685, section 4.1)."""

    folder: Path
    base: str
    """The digest of the weights it was trained on."""
    scale: float
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    """Name of a matrix to A [rank, in] and B [out, rank]."""

    def delta(self, name: str) -> NDArray[np.float32] | None:
        """What is added to the matrix of this name, [out, in]; None if nothing is."""
        if name not in self.pairs:
            return None
        a, b = (tensor.values() for tensor in self.pairs[name])
        return np.asarray(self.scale * (b @ a), np.float32)

    def refuse_strange(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raises ModelError for a matrix that the weights do not have, or have in another size."""
        for name, (a, b) in self.pairs.items():
            made = (b.shape[0], a.shape[1])
            if shapes.get(name) != made:
                has = "no such matrix" if name not in shapes else f"one of {list(shapes[name])}"
                raise ModelError(
                    f"The adapter in {self.folder} adds {list(made)} numbers to {name}, and the weights have {has}.",
                    "It was made for another model: train it again on these weights.",
                )


def read(folder: Path, base: str) -> Adapter:
    """The adapter in a folder, to be put on the weights with the digest ``base``.

    Raises ModelError if it was made for others, is no LoRA that is understood whole, or is damaged.
    """
    config = json_of(folder / CONFIG)
    if config.get(BASE) != base:
        raise ModelError(
            f"The adapter in {folder} was trained on the weights {config.get(BASE)}, and it is put on {base}.",
            "An adapter fits the weights it was made from alone: train it again on these.",
        )
    odd = sorted(k for k, v in config.items() if k not in _SAYS_NOTHING and v not in (None, False, "none", {}, []))
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or odd or not _positive(rank) or not _positive(alpha):
        what = ", ".join(odd) or f"peft_type {config.get('peft_type')!r}, r {rank!r}, lora_alpha {alpha!r}"
        raise ModelError(
            f"The adapter in {folder} has settings that are not understood: {what}.",
            "A plain LoRA of one rank can be put on.",
        )
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Adapter(folder, base, scale, _pairs(folder / WEIGHTS))


def _positive(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _pairs(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    tensors = {t.name: t for t in header(path)}
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for name, a in tensors.items():
        module, found, end = name.removeprefix(_PREFIX).rpartition(".lora_A.")
        b = tensors.get(name.replace(".lora_A.", ".lora_B."))
        if found and end == "weight" and b is not None:
            if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
                raise ModelError(f"{path} holds {a.shape} and {b.shape} for {module}.", "Train the adapter again.")
            pairs[f"{module}.weight"] = a, b
    left = len(tensors) - 2 * len(pairs)
    if left or not pairs or not all(t.finite() for pair in pairs.values() for t in pair):
        raise ModelError(
            f"{path} holds {len(pairs)} pairs of matrices and {left} other tensors, or numbers that are none.",
            "Train the adapter again.",
        )
    return pairs
