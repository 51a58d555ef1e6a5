"""A causal language model opened for training: its parameters, its adapter, and how it is saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from instar import fingerprint
from instar.chat import ChatTokenizer
from instar.errors import ModelError, StoreError
from instar.fingerprint import Fingerprint
from instar.model_folder.adapter import BASE
from instar.model_folder.folder import read, tied_adapter
from instar.model_folder.loading import load, quiet
from instar.update.weights.layout import tree_attention
from instar.update.weights.layout.shared_prefix import plants_trees
from instar.update.weights.trainer.lean import keep_less

if TYPE_CHECKING:
    import torch

BESIDE_WEIGHTS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)
"""Files of a model folder that training does not change."""


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


def save(trainable: TrainableModel, parent: Path, folder: Path) -> None:
    """Write a complete model folder: float32 weights (an adapter merged in, and kept under ``adapter/``), config, and
    the parent's tokenizer; and the fingerprint of what was trained, which engines compare themselves with. Raises
    StoreError if the disk refuses."""
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    said = said_by(trainable, parent)  # before an adapter is merged: of what was trained, not of what is saved
    try:
        folder.mkdir(parents=True)
        if said is not None:
            fingerprint.write(folder, said)
        model = trainable.model
        if trainable.adapted is not None:
            _save_adapter(trainable.adapted, folder / "adapter")
            model = trainable.adapted.merge_and_unload()
        with quiet():
            model.save_pretrained(folder, max_shard_size="1000GB")
        for name in BESIDE_WEIGHTS:
            if (parent / name).is_file():
                shutil.copyfile(parent / name, folder / name)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"The trained weights could not be saved to {folder}: {e}.", "Free some disk space.") from e


def save_adapter(trainable: TrainableModel, parent: Path, folder: Path, base: str) -> None:
    """Write the adapter alone, for the weights in ``parent`` with the digest ``base``: its matrices, its config, and
    the fingerprint of those weights with it on them. Raises StoreError if the disk refuses."""
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    said = said_by(trainable, parent)
    try:
        folder.mkdir(parents=True)
        if said is not None:
            fingerprint.write(folder, said)
        _save_adapter(trainable.adapted, folder, base)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"The adapter could not be saved to {folder}: {e}.", "Free some disk space.") from e


def said_by(trainable: TrainableModel, parent: Path) -> Fingerprint | None:
    """The fingerprint of the model in memory; None if what it says are not numbers."""
    import torch

    model = trainable.model
    rows = int(model.config.get_text_config(decoder=True).vocab_size)
    chat = ChatTokenizer.load(parent)
    asked = fingerprint.sequences(min(rows, chat.vocab_size), chat.context, chat.reply_ids(fingerprint.TEXT))
    found: list[list[float]] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for sequence in asked:
                ids = torch.tensor([list(sequence)], device=trainable.device)
                logits = model(input_ids=ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
                found.append([float(x) for x in logits.gather(-1, ids[0, 1:, None]).squeeze(-1)])
    finally:
        model.train(training)
    return fingerprint.of("the trained model, as it was in the trainer's memory", asked, found)


def _save_adapter(adapted: Any, folder: Path, base: str | None = None) -> None:
    """The adapter as peft writes it, less what would give equal adapters different digests: the order of a set, and the
    path of the base, whose digest takes its place where it matters."""
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # an empty model card
    path = folder / "adapter_config.json"
    config = {k: sorted(v) if isinstance(v, list) else v for k, v in json.loads(path.read_text("utf-8")).items()}
    config[BASE] = base
    path.write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")


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
