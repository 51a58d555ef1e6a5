"""A causal language model of any architecture that transformers knows, loaded from a folder to be asked.

Departure from ``generate``: the caller owns the key/value cache and the attention mask, so that rows can join and leave
a running batch. The cache is always the full one (``DynamicCache`` without a config): a sliding window is then only a
mask, and rows of different length can be laid side by side.
"""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from instar.errors import EngineError, ModelError
from instar.model_folder.adapter import Adapter
from instar.model_folder.folder import read
from instar.model_folder.loading import load

if TYPE_CHECKING:
    import torch

PRECISIONS = ("f32", "bf16")
BYTES = {"f32": 4, "bf16": 2}
_ATTENTION = {"full_attention", "sliding_attention"}


class HfModel:
    """The weights on a device, and one forward pass of left-padded rows.

    ``context`` is the number of positions (None: the config names none); ``values_per_token`` the numbers one token
    keeps in the caches of all layers.
    """

    def __init__(
        self, folder: Path, precision: str, device: str, trust_remote_code: bool, adapter: Adapter | None = None
    ) -> None:
        self.precision = precision
        self._plain = _plain(folder, precision, device, trust_remote_code)
        self._model = self._plain if adapter is None else adapted(self._plain, adapter)
        self.device = device
        text = self._model.config.get_text_config(decoder=True)
        _refuse_recurrent(self._model, text, folder)
        known = (read(folder).context, getattr(text, "max_position_embeddings", None))
        self.context: int | None = min((c for c in known if isinstance(c, int) and c > 0), default=None)
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


_PLAIN: WeakValueDictionary[tuple[object, ...], Any] = WeakValueDictionary()
"""Models in memory, while somebody uses them: an adapter is put on weights that are there already."""
_LOADING = Lock()


def _plain(folder: Path, precision: str, device: str, trust_remote_code: bool) -> Any:
    """The weights of a folder, in memory once for all adapters on them."""
    torch = need_torch()
    # not the folder alone: one that was made again may have the place and the number of the last
    files = tuple((p.name, (s := p.stat()).st_size, s.st_mtime_ns, s.st_ino) for p in sorted(folder.glob("*.*")))
    key = (folder.resolve(), files, precision, device, trust_remote_code)
    with _LOADING:
        model = _PLAIN.get(key)
        if model is None:
            dtype = torch.float32 if precision == "f32" else torch.bfloat16
            model = load(folder, dtype, trust_remote_code=trust_remote_code).eval().to(device)
            if device != "cpu" and precision == "f32":
                torch.set_float32_matmul_precision("highest")  # not TF32, which a program around may have allowed
            _PLAIN[key] = model
        return model


def adapted(plain: Any, adapter: Adapter) -> Any:
    """The same model with an adapter on it: a copy of its modules that holds its very tensors, so ``plain`` stays as it
    is and takes no memory again."""
    from peft import LoraConfig, inject_adapter_in_model

    torch = need_torch()
    weights = dict(plain.named_parameters(remove_duplicate=False))
    adapter.refuse_strange({name: tuple(p.shape) for name, p in weights.items()})
    shared = {id(t): t for t in (*plain.parameters(), *plain.buffers())}
    model = copy.deepcopy(plain, shared)
    names = [name.removesuffix(".weight") for name in adapter.pairs]
    rank = next(iter(adapter.pairs.values()))[0].shape[0]
    config = LoraConfig(r=rank, lora_alpha=adapter.scale * rank, target_modules=names)
    inject_adapter_in_model(config, model)
    with torch.no_grad():
        for name, (a, b) in adapter.pairs.items():
            layer = model.get_submodule(name.removesuffix(".weight"))
            for half, tensor in ((layer.lora_A, a), (layer.lora_B, b)):
                half["default"].weight.copy_(torch.from_numpy(tensor.values()))
    return model.eval()


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


def gpu_driver() -> bool:
    """Whether this machine has the driver of a GPU that torch calls cuda (NVIDIA's, or AMD's). Imports nothing."""
    return Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()


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
