"""What a folder is that is no model's, and what to do with it: an adapter's, one of checkpoints, other weights."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from instar.legible import as_python, python_command
from instar.model_folder.files import ADAPTERS, refuse_pointer

_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.gguf")
_OF_TRAINING = re.compile(r"(?:training_args|optimizer|scheduler|scaler|rng_state)\b|rng_state_|.*optim_states")
"""What a trainer keeps beside the weights, which is none."""


def instead_of(folder: Path, missing: Sequence[str]) -> str:
    """What to do with a folder that lacks these files. Raises ModelError where there is a pointer of Git LFS."""
    if any((folder / name).is_file() for name in ADAPTERS):
        return _merge(folder)
    inside = sorted((p.parent for p in folder.glob("*/config.json")), key=_number)
    inside = inside or sorted(p.parent for p in folder.glob("snapshots/*/config.json"))
    if inside and "config.json" in missing:
        return f"There is one in it: give {inside[-1]}."
    others = [p for pattern in _OTHER_WEIGHTS for p in sorted(folder.glob(pattern)) if not _OF_TRAINING.match(p.name)]
    for path in others:
        refuse_pointer(path)
    if others and "*.safetensors" in missing and "config.json" not in missing:
        where = as_python(str(folder))
        load = python_command(
            f"from transformers import AutoModelForCausalLM as M; M.from_pretrained({where}).save_pretrained({where})"
        )
        return f"{others[0].name} is of another form; where transformers reads it: {load}"
    return "Save it with save_pretrained."


def _merge(folder: Path) -> str:
    base = ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        base = str(json.loads((folder / "adapter_config.json").read_text("utf-8")).get("base_model_name_or_path") or "")
    of = f" of {base}" if base else ""
    merge = python_command(
        f"from peft import AutoPeftModelForCausalLM as M; M.from_pretrained({as_python(str(folder))})"
        '.merge_and_unload().save_pretrained("merged")'
    )
    return (
        f"It is an adapter{of}, not a model. Merge it: {merge}, copy the base's tokenizer files beside, and give "
        "merged."
    )


def _number(folder: Path) -> tuple[int, str]:
    """Checkpoints in the order of their steps."""
    digits = folder.name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1, folder.name
