"""A causal language model of any architecture that transformers knows, loaded from a folder to be asked.

Departure from ``generate``: the caller owns the key/value cache and the attention mask, so that rows can join and leave
a running batch. The cache is always the full one (``DynamicCache`` without a config): a sliding window is then only a
mask, and rows of different length can be laid side by side.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.errors import EngineError, ModelError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("f32", "bf16")
BYTES = {"f32": 4, "bf16": 2}
_ATTENTION = {"full_attention", "sliding_attention"}


class CausalModel:
    """The weights on a device, and one forward pass of left-padded rows.

    ``context`` is the number of positions (None: the config names none); ``values_per_token`` the numbers one token
    keeps in the caches of all layers.
    """

    def __init__(self, folder: Path, precision: str, device: str, trust_remote_code: bool) -> None:
        torch = need_torch()
        config = _read(folder / "config.json")
        if config.get("auto_map") and not trust_remote_code:
            _refuse_own_code(folder, config)
        self.precision = precision
        self._model = _load(folder, torch.float32 if precision == "f32" else torch.bfloat16, trust_remote_code)
        self._model.eval().to(device)
        self.device = device
        text = self._model.config.get_text_config(decoder=True)
        _refuse_recurrent(self._model, text, folder)
        context = getattr(text, "max_position_embeddings", None)
        self.context: int | None = context if isinstance(context, int) and context > 0 else None
        self.vocab_size = int(text.vocab_size)
        self.values_per_token = _values_per_token(text)
        takes = inspect.signature(self._model.forward).parameters
        self._positions, self._keep = "position_ids" in takes, "logits_to_keep" in takes

    def new_cache(self) -> Any:
        """An empty cache, to be filled by ``forward``."""
        from transformers import DynamicCache

        return DynamicCache()

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any | None, keep: int = 1) -> torch.Tensor:
        """Logits of the last ``keep`` places, float32 [rows, keep, vocabulary]. ``ids`` [rows, new] are appended to
        the ``cache``; ``mask`` [rows, cached + new] is 0 where a row is padded on its left."""
        more: dict[str, Any] = {}
        if self._positions:
            more["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if self._keep:
            more["logits_to_keep"] = keep
        if cache is not None:
            more["past_key_values"] = cache
        out = self._model(input_ids=ids, attention_mask=mask, use_cache=cache is not None, **more)
        logits: torch.Tensor = out.logits[:, -keep:].float()
        return logits


def need_torch() -> Any:
    """torch, or a ModelError that names what to install."""
    try:
        import torch
        import transformers  # noqa: F401 - only asks if it is there
    except ImportError as e:
        raise ModelError(
            f"The package {e.name} is needed for the transformers engine.", "Install it: pip install 'instar[train]'."
        ) from e
    return torch


def device_of(asked: str) -> str:
    """``auto`` is a GPU where torch sees one, else the CPU. Raises EngineError for a device that is not there."""
    torch = need_torch()
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked != "cpu" and not (asked.split(":")[0] == "cuda" and torch.cuda.is_available()):
        raise EngineError(f"There is no device {asked!r} here.", 'Use device "auto", "cpu" or, with a GPU, "cuda".')
    return asked


def sampling_precision(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bf16 where the hardware multiplies it (a GPU that says so, a CPU with AMX), else f32: without AMX bf16 was
    measured to be slower."""
    if device != "cpu":
        return "bf16" if need_torch().cuda.is_bf16_supported() else "f32"
    try:
        return "bf16" if "amx_bf16" in cpuinfo.read_text("utf-8", "replace").split() else "f32"
    except OSError:
        return "f32"


def _load(folder: Path, dtype: Any, trust_remote_code: bool) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        with _quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,  # a pickle could run code
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except Exception as e:  # transformers raises many kinds, and safetensors its own
        raise ModelError(
            f"transformers cannot load the model in {folder}: {type(e).__name__}: {str(e)[:400]}.",
            "Check the folder: config.json must name a causal model, and its *.safetensors must be whole.",
        ) from e
    missing = sorted(info.get("missing_keys") or ())
    if missing:  # transformers fills them with random numbers, and only warns
        raise ModelError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors ({', '.join(missing[:3])}).",
            "Save the whole model, with adapters merged, by save_pretrained.",
        )
    return model


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{path} cannot be read: {e}.", "A model folder holds config.json and *.safetensors.") from e
    return value if isinstance(value, dict) else {}


def _refuse_own_code(folder: Path, config: dict[str, Any]) -> None:
    """A model that brings code is run by transformers' own class where there is one, and refused where there is not."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"The model in {folder} ({config.get('model_type')!r}) brings Python code of its own, which is not run.",
            "If you have read that code and trust it: --set engine_options.trust_remote_code=true",
        )


def _refuse_recurrent(model: Any, text: Any, folder: Path) -> None:
    kinds = set(getattr(text, "layer_types", None) or ()) - _ATTENTION
    if kinds or getattr(model, "_is_stateful", False):
        what = ", ".join(sorted(map(str, kinds))) or "a recurrent state"
        raise ModelError(
            f"The transformers engine cannot batch {type(model).__name__} ({folder}): it keeps {what}, not plain "
            "attention, and rows padded on the left would change its answers.",
            "Use a model with attention layers only.",
        )


def _values_per_token(text: Any) -> int:
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * size)


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers draws progress bars over ours, and reports in tables what we say in a sentence."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
