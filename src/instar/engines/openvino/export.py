"""Writes a folder of Llama weights as a model folder that openvino loads: the graph, and the weights at one type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from instar.engines.openvino.graph import Array, Graph, WeightType
from instar.errors import ModelError
from instar.model_folder.adapter import Adapter
from instar.model_folder.folder import plain_llama, read


def export(folder: Path, out: Path, weight_type: WeightType, adapter: Adapter | None = None) -> None:
    """Write ``out/openvino_model.xml`` and ``.bin``, with what the adapter adds to the weights. float32 weights go from
    file to file without a copy in between, but for those that an adapter is on.

    Raises ModelError for another architecture, a setting the graph cannot express, files that ``model_folder`` refuses,
    an adapter that does not fit, or a missing ``openvino`` package.
    """
    try:
        import openvino as ov
    except ImportError as e:
        raise ModelError("The package openvino is needed to export weights.", "pip install 'instar[openvino]'.") from e
    llama, held = plain_llama(folder), read(folder).tensors
    if adapter is not None:
        adapter.refuse_strange({name: tensor.shape for name, tensor in held.items()})

    def weights(name: str) -> Array:
        values, added = held[name].values(), None if adapter is None else adapter.delta(name)
        return values if added is None else values + added

    model: Any = Graph(llama, weights, weight_type).model()
    out.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, out / "openvino_model.xml", compress_to_fp16=False)
