"""How near a run came to what its machine can do: a roofline of one line, the rate of its matrix products.

The rate is measured once on a machine and kept in INSTAR_HOME (``instar doctor`` measures it anew). A run notes it,
with the model's size and the types its phases multiply in, so that its summary can say the share.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from instar.app.host.machine import Beside, processor

KEPT = "machine.json"
TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "bfloat16", "int8": "bfloat16"}
"""The type whose rate limits a precision. 8-bit weights are multiplied in bfloat16 here (docs/log, bench), and a
processor that has no such products multiplies in float32."""


def timed() -> list[str]:
    """The types that this processor multiplies in."""
    return ["float32", "bfloat16"] if processor()["bf16_in_hardware"] else ["float32"]


def rates(home: Path) -> dict[str, float]:
    """Gflop/s of matrix products by type; measured (seconds) unless it is known of this very processor. What was
    measured beside other work is measured again once there is less of it, and the better figure stays."""
    kept, quiet = _kept(home)
    if quiet or (kept and os.getloadavg()[0] > 1):
        return kept
    beside = Beside()
    return remember(home, _measured(), beside.quiet())


def _measured() -> dict[str, float | None]:
    """In a process of its own: a product here would leave a second pool of threads in the process that trains, and
    libgomp then takes the machine for overfull and hardly spins (docs/log, waiting threads). Nothing if it fails."""
    code = "import json; from instar.app.host.machine import matmul as m; print(json.dumps({d: m(d) for d in TIMED}))"
    code = f"TIMED = {timed()!r}; {code}"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return {str(d): r for d, r in json.loads(done.stdout.splitlines()[-1]).items()}
    except (subprocess.SubprocessError, ValueError, IndexError):
        return {}


def remember(home: Path, measured: dict[str, float | None], quiet: bool) -> dict[str, float]:
    """Keep what was measured for the runs to come; returns what is kept: of each type the best so far. ``quiet`` says
    that no other program worked meanwhile: what was not measured so is measured again."""
    kept, was_quiet = _kept(home)
    gflops = {d: max(r, kept.get(d, 0.0)) for d, r in measured.items() if r is not None}
    quiet = quiet or was_quiet
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f"{KEPT}.{os.getpid()}"
    temporary.write_text(json.dumps({**_here(), "quiet": quiet, "gflops": gflops}), "utf-8")
    temporary.replace(home / KEPT)
    return gflops


def _kept(home: Path) -> tuple[dict[str, float], bool]:
    """What is known of this processor, and whether it was measured on a quiet machine."""
    try:
        kept = json.loads((home / KEPT).read_text("utf-8"))
        if {k: kept[k] for k in ("processor", "cores")} == _here():
            return {str(d): float(r) for d, r in kept["gflops"].items()}, bool(kept["quiet"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # not measured yet, or by another version
    return {}, False


def _here() -> dict[str, Any]:
    p = processor()
    return {"processor": p["processor"], "cores": p["cores"]}


def multiplied(folder: Path) -> int:
    """Weights of a model folder that each token is multiplied with: all matrices, the embedding only as the head."""
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "np") as f:
            for name in f.keys():  # noqa: SIM118 - not a dictionary
                shape = f.get_slice(name).get_shape()
                if len(shape) == 2:
                    sizes[name] = shape[0] * shape[1]
    if any("lm_head" in n for n in sizes):
        sizes = {n: s for n, s in sizes.items() if "embed" not in n}
    return sum(sizes.values())


def limits(home: Path, folder: Path, precisions: dict[str, str]) -> dict[str, Any]:
    """What a run notes of itself: Gflop/s by phase (``precisions`` says what a phase multiplies in) and Gflop a token:
    two for each weight in generation, six in training (forward, and twice that backward; Kaplan et al. 2020, 2.1)."""
    known = rates(home)
    _, quiet = _kept(home)
    gflop = 2e-9 * multiplied(folder)
    kinds, here = {phase: TYPES.get(p, p) for phase, p in precisions.items()}, timed()
    of = {phase: known.get(kind if kind in here else "float32") for phase, kind in kinds.items()}
    return {
        "gflops": {phase: rate for phase, rate in of.items() if rate and gflop},  # 0: no safetensors to count in
        "quiet": quiet,
        "gflop_a_token": {phase: gflop * (3 if phase == "train" else 1) for phase in of},
    }
