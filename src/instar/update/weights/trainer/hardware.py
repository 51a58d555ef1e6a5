"""What the machine gives: a GPU or not, the arithmetic that suits it, and whether the disk has room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from instar.errors import ModelError, StoreError

Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
"""What a setting may say; ``auto`` is a GPU where torch sees one."""
AT_ONCE = 512
"""Tokens, padding included, that go through the model at once on a CPU: what bounds the memory for activations."""
AT_ONCE_ON_A_GPU = 8192
"""The same there: a pass of few tokens leaves a GPU waiting for the next kernel to be launched."""
FORMER: Mapping[str, str] = {
    "max_grad_norm": "clip",
    "gradient_checkpointing": "recompute",
    "max_tokens_per_microbatch": "tokens_at_once",
}
"""What settings of our own updates were called before (``Op.former``); a user's update has the names it has."""


def device_of(asked: Device) -> Literal["cpu", "cuda"]:
    """Where training happens. Raises ModelError for a GPU that is not there."""
    if asked == "cpu":
        return "cpu"
    try:
        import torch
    except ImportError as e:
        if asked == "auto":
            return "cpu"  # what trains says which package is missing
        raise ModelError("Training needs the package torch.", "Install it: pip install 'instar[train]'.") from e
    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise ModelError(
            f"device is cuda, but torch {torch.__version__} sees no GPU here.",
            "Set device to auto or cpu; or install a CUDA build of torch and look with: instar doctor.",
        )
    return "cpu"


def max_tokens_per_microbatch(asked: int | None, device: str) -> int:
    """What was asked; where nothing was, what suits the device."""
    return asked or (AT_ONCE_ON_A_GPU if device == "cuda" else AT_ONCE)


@contextmanager
def memory_guard(tokens: int) -> Iterator[None]:
    """Raises ModelError, with what to do, where what is inside needs more memory than a GPU has."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as e:
        raise ModelError(
            f"The GPU's memory does not suffice for {tokens} tokens at once: {str(e).splitlines()[0][:300]}",
            f"Set max_tokens_per_microbatch to less (say {max(tokens // 2, 1)}), gradient_checkpointing to true, or "
            "train an adapter (lora).",
        ) from e


def card(device: str) -> dict[str, str]:
    """What ``training.json`` says of where it happened: nothing of a CPU, as ever."""
    if device == "cpu":
        return {}
    import torch

    return {"device": device, "card": torch.cuda.get_device_name()}


def precision_of(
    asked: Literal["auto", "float32", "bfloat16"], cpuinfo: Path = Path("/proc/cpuinfo"), device: str = "cpu"
) -> Precision:
    """``auto`` is bfloat16 where the processor multiplies it in hardware (AMX), else float32: without AMX, bfloat16 was
    measured to be slower (docs/log); and on a GPU that has it. The weights themselves, the gradients' sum and AdamW
    are float32 in all."""
    if asked != "auto":
        return asked
    if device == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    try:
        return "bfloat16" if "amx_bf16" in cpuinfo.read_text("utf-8", "replace") else "float32"
    except OSError:
        return "float32"


def free_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that a program may take here without another's going: what the machine and the container have.
    0 where neither says."""
    found = []
    try:
        (line,) = (x for x in meminfo.read_text("utf-8", "replace").splitlines() if x.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
        most, now = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        if most != "max":
            found.append(int(most) - int(now))
    except (OSError, ValueError):
        pass
    return max(0, min(found, default=0))


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
