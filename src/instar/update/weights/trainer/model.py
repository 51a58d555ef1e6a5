"""A causal language model opened for training: its parameters and its adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from instar.errors import ModelError
from instar.model_folder.folder import read, tied_adapter
from instar.model_folder.loading import load
from instar.update.weights.layout import tree_attention
from instar.update.weights.layout.shared_prefix import plants_trees
from instar.update.weights.trainer.lean import keep_less

if TYPE_CHECKING:
    import torch


class Lora(BaseModel):
    """Low-rank adapters instead of full weights (arXiv:2106.09685; rank and alpha as in peft's guides)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    target_modules: str | tuple[str, ...] = "all-linear"


class TrainableModel(NamedTuple):
    """The model and what of it is trained."""

    model: Any  # transformers.PreTrainedModel, float32; with an adapter its linear layers are wrapped in place
    adapted: Any | None  # the peft model around it
    trees: bool
    """Whether it is fed prefix trees: where it may be, on a CPU. On a GPU they work, and padded rows were faster even
    where four answers share each prompt (docs/log/2026-11-27-gpu.md)."""
    pad: int

    @property
    def device(self) -> torch.device:
        """Where it is."""
        device: torch.device = self.model.device
        return device

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def open_trainable(
    folder: Path, lora: Lora | None, seed: int, *, gradient_checkpointing: bool = False, device: str = "cpu"
) -> TrainableModel:
    """Load the weights in ``folder`` as float32, onto a device. With ``gradient_checkpointing``, the layers'
    activations are not kept for the backward pass but computed again (activation checkpointing).

    Raises ModelError as ``model_folder`` does, if a needed package is missing, or for an adapter on a matrix that is
    head and embedding at once."""
    torch = _torch()
    if lora is not None:
        read(folder).refuse_adapter_on(lora.target_modules)
    model = load(folder, torch.float32)
    model.train()
    if gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    able = plants_trees(model.config)
    if able:
        tree_attention.register()
        model.set_attn_implementation(tree_attention.NAME)
        keep_less(model)
    adapted = None
    if lora is not None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as e:
            raise _missing(e) from e
        targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        with seeded(seed):
            try:
                adapted = get_peft_model(model, config)
            except ValueError as e:  # no layer of that name
                raise ModelError(f"No adapter could be put on {folder}: {e}.", "Mend lora.target_modules.") from e
        _refuse_shared(model, folder)
    if device != "cpu":  # last: an adapter is drawn on the CPU, and so is the same everywhere
        torch.set_float32_matmul_precision("highest")  # a program around this one may have allowed TF32
        model.to(device)
    pad = model.config.pad_token_id
    return TrainableModel(model, adapted, able and device == "cpu", pad if isinstance(pad, int) and pad >= 0 else 0)


def _refuse_shared(model: Any, folder: Path) -> None:
    """Raises ModelError if an adapter lies on a matrix that stands in two places of the model."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for found in names.values():
        hit = [n for n in found if ".base_layer." in n]
        if len(found) > 1 and hit:
            raise tied_adapter(hit[0].partition(".base_layer.")[0].rsplit(".", 1)[-1], folder)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from this seed inside, and goes on as before after it."""
    import torch

    there = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # the seed is each GPU's too
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if there else []):
        torch.manual_seed(seed % 2**63)
        yield


def _torch() -> Any:
    try:
        import torch
        import transformers  # noqa: F401 - only asks if it is there
    except ImportError as e:
        raise _missing(e) from e
    return torch


def _missing(e: ImportError) -> ModelError:
    return ModelError(f"Training needs the package {e.name}.", "Install it: pip install 'instar[train]'.")
