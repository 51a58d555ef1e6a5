"""What the machine gives: the arithmetic that suits its processor, and whether the disk has room."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from instar.errors import StoreError

Precision = Literal["float32", "bfloat16"]


def precision_of(asked: Literal["auto", "float32", "bfloat16"], cpuinfo: Path = Path("/proc/cpuinfo")) -> Precision:
    """``auto`` is bfloat16 where the processor multiplies it in hardware (AMX), else float32: without AMX, bfloat16 was
    measured to be slower (docs/log). The weights themselves, the gradients' sum and AdamW are float32 in both."""
    if asked != "auto":
        return asked
    try:
        return "bfloat16" if "amx_bf16" in cpuinfo.read_text("utf-8", "replace") else "float32"
    except OSError:
        return "float32"


def need_disk(folder: Path, needed: int, what: str) -> None:
    """Raise StoreError, with the numbers, if the disk of ``folder`` has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"{what} needs {_size(needed)} of free disk under {folder}, but only {_size(free)} are free.",
            "Free some space, or point INSTAR_HOME and the run folder at a larger disk.",
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
