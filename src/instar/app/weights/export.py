"""A policy's weights taken out of the store: a Hugging Face folder, a GGUF file, or the LoRA adapter alone.

Each is written beside its place under another name and renamed when whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from instar import fingerprint
from instar.app.storage.paths import artefacts
from instar.app.weights.policies import Found
from instar.errors import ConfigError, ModelError, StoreError
from instar.export.gguf import WeightType, export_gguf
from instar.model_folder.folder import read
from instar.records.exchange import SELF
from instar.store.artefacts import MANIFEST

ADAPTER = "adapter"
GGUF_TYPES: tuple[str, ...] = get_args(WeightType)


def to_folder(found: Found, out: Path, card: str, *, force: bool) -> list[str]:
    """Weights, tokenizer, config, the card as README.md, the policy itself as policy.json. Returns the file names."""
    source = _weights(found)

    def fill(part: Path) -> None:
        for path in sorted(source.iterdir()):
            if path.is_file() and path.name not in (MANIFEST, fingerprint.FILE):
                shutil.copyfile(path, part / path.name)
        _with_words(found, part, card)

    return _written(out, fill, force)


def to_adapter(found: Found, out: Path, card: str, *, force: bool, role: str | None = None) -> list[str]:
    """The low-rank adapter that peft loads on the weights it was trained from: of ``role``, where a policy has one for
    each; None is the only one there is, or that of "self". Raises ModelError if there is none."""
    own = found.policy.adapters
    if role is None:
        role = SELF if SELF in own or len(own) != 1 else next(iter(own))
    if role not in own and (own or role != SELF):
        there = (
            f"There are adapters for: {', '.join(sorted(own))}." if own else "It has no adapters beside its weights."
        )
        raise ModelError(f"{found.title} has no adapter for the role {role!r}.", there)
    source = artefacts().open(own[role]) if own else _weights(found) / ADAPTER
    if not source.is_dir():
        raise ModelError(
            f"{found.title} has no adapter: its full weights were trained.",
            "Train with --set train.lora.rank=16, or export the whole folder.",
        )

    def fill(part: Path) -> None:
        for path in sorted(source.iterdir()):
            if path.name not in (MANIFEST, fingerprint.FILE):  # of the store, and of weights that do not come along
                shutil.copyfile(path, part / path.name)
        _with_words(found, part, card)

    return _written(out, fill, force)


def to_gguf(found: Found, out: Path, weight_type: str, *, force: bool) -> int:
    """A file that llama.cpp loads by itself: weights, tokenizer, chat template. Returns its bytes.

    Raises ConfigError for a type or path that will not do, ModelError for a model that GGUF's llama cannot express.
    """
    if weight_type not in GGUF_TYPES:
        raise ConfigError(f"there is no GGUF weight type {weight_type!r}.", f"There are: {', '.join(GGUF_TYPES)}.")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already.", "Give another name, or --force.")
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent}.", "Make it first.")
    folder = _weights(found)
    export_gguf(folder, out, _type(weight_type))
    return out.stat().st_size


def _type(name: str) -> WeightType:
    for known in ("F32", "F16", "Q8_0"):
        if known == name:
            return known
    raise AssertionError(name)


def _weights(found: Found) -> Path:
    if found.policy.weights.place != "artefact":
        raise ModelError(
            f"{found.title} has no weights to export: it is the scripted model, a table of skills.",
            "Export a policy of a run with a real model.",
        )
    if found.policy.adapters:
        roles = ", ".join(sorted(found.policy.adapters))
        raise ModelError(
            f"{found.title} has adapters beside its weights ({roles}): the weights alone are another model.",
            f"Export one of them: --adapter --role {min(found.policy.adapters)}.",
        )
    return read(artefacts().open(found.policy.weights.digest)).folder


def _with_words(found: Found, part: Path, card: str) -> None:
    (part / "README.md").write_text(card, "utf-8")
    (part / "policy.json").write_text(json.dumps(found.policy.model_dump(mode="json"), indent=1), "utf-8")


def _written(out: Path, fill: Callable[[Path], None], force: bool) -> list[str]:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file.", "Give a folder.")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise ConfigError(f"{out} is there already and not empty.", "Give another folder, or --force.")
        if not (out / "policy.json").is_file():  # --force replaces an export, never somebody's home
            raise ConfigError(f"{out} is not an earlier export of instar.", "Give another folder.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        fill(part)
        names = sorted(p.name for p in part.iterdir())
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)
    except OSError as e:
        raise StoreError(
            f"{out} could not be written: {e.strerror or e}.", "Free some space, or choose another place."
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return names
