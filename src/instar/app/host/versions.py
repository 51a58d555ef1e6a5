"""What a run was made with: this package, Python, the machine, and the libraries that decide what comes out."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

DECIDE = (
    "torch", "transformers", "peft", "safetensors", "tokenizers", "gguf", "openvino", "openvino-genai",
    "openvino-tokenizers", "numpy", "pydantic", "sqlalchemy", "reasoning-gym", "math-verify",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Name to version, read from what is installed; nothing is imported. A library that is not there is left out."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "processor": _processor(),
    }
    for name in ("instar", *DECIDE):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "not known")
    except OSError:
        return platform.processor() or "not known"
