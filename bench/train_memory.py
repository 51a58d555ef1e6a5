"""The most memory a process has held so far. Standard library only: both sides import it."""

from __future__ import annotations

from pathlib import Path


def peak() -> float:
    """MB (1e6 bytes) of resident memory at its highest since the process started (VmHWM)."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status names no VmHWM: peak memory is measured on Linux alone")
