"""What this machine can do and what is installed on it: the limits that a run's seconds are to be read against."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from instar import __version__
from instar.app.storage.paths import home, runs_folder
from instar.engines.native import build

FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
}
_SIDE = {"float32": 2048, "bfloat16": 4096}
"""Side of the square matrices that are multiplied: large enough that starting the threads does not show."""
_TRIES, _SECONDS = 5, 1.0
"""How often a piece of work is timed; a slow one less often, once so many seconds have gone into it."""


def facts(*, measure: bool) -> dict[str, Any]:
    """Processor, memory, disk, packages, where things lie; with ``measure`` also speeds (about 5 s)."""
    return {
        "instar": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        **processor(),
        **memory(),
        "load": os.getloadavg()[0],
        "gpu": gpu(),
        "native": native(),
        "places": {"INSTAR_HOME": place(home()), "runs": place(runs_folder())},
        "extras": {name: extra(name) for name in extras()},
        "speeds": speeds() if measure else None,
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Name, cores this process may use, and the vector units that decide how fast matrices are multiplied."""
    try:
        text = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        text = ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    named = {k.strip(): v.strip() for k, v in fields.items()}
    flags = set(named.get("flags", named.get("Features", "")).split())
    return {
        "processor": named.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "units": [name for flag, name in FLAGS.items() if flag in flags],
        "bf16_in_hardware": "amx_bf16" in flags,
    }


class Beside:
    """What other programs do while something is measured in a process that this one starts and waits for."""

    QUIET = 0.25
    """Cores' worth of other work from which on a measurement was disturbed."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat, self._began = stat, time.monotonic()
        self._worked = self._others()

    def quiet(self) -> bool:
        """Whether the machine was left alone since this was made. Where the system does not tell: by its load."""
        now, wall = self._others(), time.monotonic() - self._began
        if self._worked is None or now is None:
            return os.getloadavg()[0] <= (os.cpu_count() or 1) / 2
        return now - self._worked < self.QUIET * max(wall, 1.0)

    def _others(self) -> float | None:
        """Seconds that all cores worked since the start of the system, for anything but this process and its ended
        children; None where /proc does not say."""
        try:
            said = [int(x) for x in self._stat.read_text().splitlines()[0].split()[1:9]]
            user, nice, system, _, _, irq, soft, steal = said
        except (OSError, ValueError, IndexError):
            return None
        ours = os.times()
        all_cores = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        return all_cores - sum(ours[:4])


def memory(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> dict[str, Any]:
    """Gigabytes: of the machine, free now, and the limit of this container if it has one. None is not known."""
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        total, free = (int(rows[k].split()[0]) / 1e6 for k in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        total = free = None  # type: ignore[assignment]  # not Linux: not known
    try:
        held = limit.read_text().strip()
    except OSError:
        held = "max"
    return {"memory_gb": total, "memory_free_gb": free, "memory_limit_gb": int(held) / 1e9 if held.isdigit() else None}


def gpu() -> str | None:
    """The first GPU that torch can use, by name; None without one (or without torch)."""
    if importlib.util.find_spec("torch") is None:
        return None
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or sys.platform == "darwin"):
        return None  # importing torch to be told the same costs seconds
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "Apple MPS" if torch.backends.mps.is_available() else None


def cuda() -> bool:
    """Whether torch sees a GPU that training and the engine transformers use."""
    return gpu() not in (None, "Apple MPS")


def native() -> dict[str, Any]:
    """The precisions at which the native engine runs here, why not at the others, and whether a compiler is all that is
    missing. Compiles nothing."""
    why = {precision: build.why_not(precision) for precision in build.NEEDED}
    return {
        "precisions": [precision for precision, lacking in why.items() if lacking is None],
        "why_not": {precision: lacking for precision, lacking in why.items() if lacking is not None},
        "lacks_only_compiler": build.no_processor() is None and build.no_compiler() is not None,
    }


def place(folder: Path) -> dict[str, Any]:
    """A folder, whether it is there and can be written, and the disk below it."""
    at = folder.expanduser()
    there = at
    while not there.exists() and there != there.parent:
        there = there.parent
    disk = shutil.disk_usage(there)
    return {"path": str(at.resolve()), "exists": at.exists(), "writable": os.access(there, os.W_OK),
            "free_gb": disk.free / 1e9, "disk_gb": disk.total / 1e9}  # fmt: skip


def extras() -> list[str]:
    """The optional extras that the installed instar declares; none if it is not installed as a package."""
    try:
        return [str(name) for name in metadata("instar").get_all("Provides-Extra") or ()]
    except PackageNotFoundError:
        return []


def extra(name: str) -> dict[str, Any]:
    """The packages of an optional extra: what is installed, what is missing or too old, and the line that mends it."""
    from packaging.requirements import Requirement

    try:
        lines = requires("instar") or []
    except PackageNotFoundError:
        return {"installed": {}, "missing": [], "pip": None, "known": False}
    wanted = [r for r in map(Requirement, lines) if r.marker is not None and r.marker.evaluate({"extra": name})]
    installed: dict[str, str] = {}
    missing: list[str] = []
    for r in wanted:
        try:
            has = version(r.name)
        except PackageNotFoundError:
            missing.append(str(r).split(";")[0].strip())
            continue
        installed[r.name] = has
        if r.specifier and not r.specifier.contains(has.split("+")[0], prereleases=True):
            missing.append(f"{str(r).split(';')[0].strip()} (it is {has})")
    return {"installed": installed, "missing": missing, "pip": f"pip install 'instar[{name}]'" if missing else None,
            "known": True}  # fmt: skip


def speeds() -> dict[str, Any]:
    """Measured now, medians of 5: matrix products in Gflop/s, reading memory in GB/s, writing the disk in GB/s."""
    return {"matmul_gflops": {d: matmul(d) for d in _SIDE}, "memory_gb_s": bandwidth(), "disk_write_gb_s": disk_rate()}


def matmul(dtype: str) -> float | None:
    """Gflop/s of a square matrix product in torch (numpy for float32 without torch); None if it cannot be done."""
    n = _SIDE[dtype]
    if importlib.util.find_spec("torch") is not None:
        import torch

        kind = getattr(torch, dtype)
        if dtype == "bfloat16" and not processor()["bf16_in_hardware"]:
            n = 256  # emulated: a product of 1024 takes six seconds
        a, b = torch.ones(n, n, dtype=kind), torch.ones(n, n, dtype=kind)
        return _median_rate(lambda: torch.mm(a, b), 2 * n**3 / 1e9)
    if dtype != "float32":
        return None
    import numpy as np

    x, y = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    return _median_rate(lambda: x @ y, 2 * n**3 / 1e9)


def bandwidth() -> float:
    """GB/s at which memory is read and written by a copy of 256 MB on one core."""
    import numpy as np

    source = np.ones(256 * 2**20 // 8)
    target = np.empty_like(source)
    return _median_rate(lambda: np.copyto(target, source), 2 * source.nbytes / 1e9)


def disk_rate() -> float | None:
    """GB/s of writing 64 MB under INSTAR_HOME and waiting until the disk has them; None if it cannot be written."""
    import tempfile

    data = os.urandom(1 << 20) * 64
    there = home()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-") as f:
            began = time.perf_counter()
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
            return len(data) / 1e9 / (time.perf_counter() - began)
    except OSError:
        return None


def _median_rate(work: Any, amount: float) -> float:
    work()  # the first one starts the threads
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        if sum(times) > _SECONDS:
            break
    return float(amount / statistics.median(times))
