"""Writes a folder of Llama weights as a model folder that openvino loads: the graph, and the weights at one type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from instar.engines.graph import Array, Graph, WeightType
from instar.engines.weights import read_config, tensors
from instar.errors import ModelError


def export(folder: Path, out: Path, weight_type: WeightType) -> None:
    """Write ``out/openvino_model.xml`` and ``.bin``. float32 weights go from file to file without a copy in between.

    Raises ModelError for another architecture, a setting the graph cannot express, damaged files, weights that are
    missing, not finite or no part of a Llama, or a missing ``openvino`` package.
    """
    try:
        import openvino as ov
    except ImportError as e:
        raise ModelError("The package openvino is needed to export weights.", "pip install 'instar[openvino]'.") from e
    config = read_config(folder)
    held = {name: array for name, array in tensors(folder) if not name.endswith("rotary_emb.inv_freq")}
    if config.get("tie_word_embeddings"):
        held.pop("lm_head.weight", None)  # some files repeat it
    used: set[str] = set()

    def weights(name: str) -> Array:
        if name not in held:
            raise ModelError(f"The weights in {folder} lack {name}.", "Copy the model folder again.")
        if name not in used and not np.isfinite(held[name]).all():
            raise ModelError(f"The weights {name} in {folder} are not all finite.", "The training diverged.")
        used.add(name)
        return held[name]

    model: Any = Graph(config, weights, weight_type).model()
    if strange := sorted(set(held) - used):
        raise ModelError(
            f"The weights hold {strange[0]}, which is no part of a Llama model.", "Merge adapters before use."
        )
    out.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, out / "openvino_model.xml", compress_to_fp16=False)
