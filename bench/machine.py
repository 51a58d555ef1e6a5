"""What this machine is, and how fast it multiplies matrices: the limit that a row's share is a share of."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_RATES = """
import json, time, torch
def rate(dtype, m=256, k=1536, n=576 * 8):
    a = torch.randn(m, k); b = torch.randn(k, n)
    if dtype == "int8":
        a = (a * 20).to(torch.int8); b = (b * 20).to(torch.int8)
        f = lambda: torch._int_mm(a, b)
    else:
        a, b = a.to(getattr(torch, dtype)), b.to(getattr(torch, dtype))
        f = lambda: a @ b
    for _ in range(5): f()
    best = 0.0
    for _ in range(5):
        t = time.perf_counter()
        for _ in range(20): f()
        best = max(best, 20 * 2 * m * k * n / (time.perf_counter() - t) / 1e9)
    return round(best, 1)
print(json.dumps({d: rate(d) for d in ("float32", "bfloat16", "int8")}))
"""


@functools.cache
def rates() -> dict[str, float]:
    """GFLOP/s (int8: Gop/s) of matrix products shaped as a batch of 256 decodes them; best of 5, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", _RATES], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@functools.cache
def describe() -> dict[str, Any]:
    """Processor, cores, memory and measured rates."""
    return described() | {f"gflops_{k}": v for k, v in rates().items()}


def described() -> dict[str, Any]:
    """Processor, cores and memory, without measuring anything."""
    cpu, flags = platform.processor(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        fields = {k.strip(): v.strip() for k, v in fields.items()}
        cpu, flags = fields.get("model name", cpu), fields.get("flags", "")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "amx": "amx_bf16" in flags.split(),
        "python": platform.python_version(),
    }
