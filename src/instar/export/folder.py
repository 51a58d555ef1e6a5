"""Writes a model that was trained, or its adapter alone, as a Hugging Face folder, its fingerprint with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from instar import fingerprint
from instar.chat import ChatTokenizer
from instar.errors import StoreError
from instar.fingerprint import Fingerprint
from instar.model_folder.adapter import BASE
from instar.model_folder.loading import quiet

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


class Trained(Protocol):
    """A model in memory, and the peft model around it where it has an adapter."""

    @property
    def model(self) -> Any: ...
    @property
    def adapted(self) -> Any | None: ...
    @property
    def device(self) -> torch.device: ...


def save(trained: Trained, parent: Path, folder: Path) -> None:
    """Write a complete model folder: float32 weights (an adapter merged in, and kept under ``adapter/``), config, and
    the parent's tokenizer; and the fingerprint of what was trained, which engines compare themselves with. Raises
    StoreError if the disk refuses."""
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    said = said_by(trained, parent)  # before an adapter is merged: of what was trained, not of what is saved
    try:
        folder.mkdir(parents=True)
        if said is not None:
            fingerprint.write(folder, said)
        model = trained.model
        if trained.adapted is not None:
            _save_adapter(trained.adapted, folder / "adapter")
            model = trained.adapted.merge_and_unload()
        with quiet():
            model.save_pretrained(folder, max_shard_size="1000GB")
        for name in BESIDE_WEIGHTS:
            if (parent / name).is_file():
                shutil.copyfile(parent / name, folder / name)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"The trained weights could not be saved to {folder}: {e}.", "Free some disk space.") from e


def save_adapter(trained: Trained, parent: Path, folder: Path, base: str) -> None:
    """Write the adapter alone, for the weights in ``parent`` with the digest ``base``: its matrices, its config, and
    the fingerprint of those weights with it on them. Raises StoreError if the disk refuses."""
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    said = said_by(trained, parent)
    try:
        folder.mkdir(parents=True)
        if said is not None:
            fingerprint.write(folder, said)
        _save_adapter(trained.adapted, folder, base)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"The adapter could not be saved to {folder}: {e}.", "Free some disk space.") from e


def said_by(trained: Trained, parent: Path) -> Fingerprint | None:
    """The fingerprint of the model in memory; None if what it says are not numbers."""
    import torch

    model = trained.model
    rows = int(model.config.get_text_config(decoder=True).vocab_size)
    chat = ChatTokenizer.load(parent)
    asked = fingerprint.sequences(min(rows, chat.vocab_size), chat.context, chat.reply_ids(fingerprint.TEXT))
    found: list[list[float]] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for sequence in asked:
                ids = torch.tensor([list(sequence)], device=trained.device)
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
