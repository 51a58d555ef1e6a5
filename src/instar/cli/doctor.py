"""``instar doctor``: the machine's limits, what is installed, what is missing and the line that mends it."""

from __future__ import annotations

import json
from typing import Any

from instar.app.host.limits import remember
from instar.app.host.machine import Beside, facts
from instar.app.storage.paths import home

ROOMY = 5.0
"""Gigabytes of disk below which a warning is due: one policy of the small model and its checkpoint take about 3."""


def examine_machine(*, measure: bool, as_json: bool, quiet: bool) -> None:
    """Print what was found; ``quiet`` prints the problems alone. Always exit code 0: a bare machine is no error."""
    beside = Beside()
    found = facts(measure=measure)
    if found["speeds"] and found["places"]["INSTAR_HOME"]["writable"]:
        remember(home(), found["speeds"]["matmul_gflops"], beside.quiet())  # the share of it is in every run's summary
    found["problems"] = problems(found)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    if not quiet:
        _print(found)
    for line in found["problems"]:
        print(f"! {line}")
    if not found["problems"] and not quiet:
        print("nothing that a run needs is missing")  # an extra that is not installed is named in its own line


def problems(found: dict[str, Any]) -> list[str]:
    """What a user should mend, a sentence each."""
    out = []
    for name in ("train", "openvino"):
        x = found["extras"].get(name)
        if x and x["missing"]:
            out.append(f"real models need {', '.join(x['missing'])}: {x['pip']}")
    native = found["native"]
    if native["lacks_only_compiler"]:
        out.append(f"install g++ 12 or newer: {native['why_not']['f32']} Generation is slower without it.")
    for what, x in found["places"].items():
        if not x["writable"]:
            out.append(f"{what} ({x['path']}) cannot be written: point {_variable(what)} at another folder.")
        elif x["free_gb"] < ROOMY:
            out.append(f"the disk of {what} has {x['free_gb']:.1f} GB free: instar gc, or another {_variable(what)}.")
    limit = min(x for x in (found["memory_free_gb"], found["memory_limit_gb"], 1e9) if x is not None)
    if limit < 4:
        out.append(f"{limit:.1f} GB of memory are free: training the small model takes about 4 GB.")
    return out


def _variable(what: str) -> str:
    return "INSTAR_RUNS" if what == "runs" else what


def _native(native: dict[str, Any]) -> str:
    """Whether our own kernels run here, and at which precisions."""
    if not native["precisions"]:
        return f"not here: {native['why_not']['f32']}"
    lacking = "".join(f"; {why}" for why in native["why_not"].values())
    return f"our own kernels run here, at {' and '.join(native['precisions'])}{lacking}"


def _print(found: dict[str, Any]) -> None:
    print(f"instar {found['instar']}, Python {found['python']}, {found['system']}")
    units = ", ".join(found["units"]) or "no vector units known"
    print(f"processor   {found['processor']}: {found['cores']} cores; {units}")
    limit = f", this container may use {found['memory_limit_gb']:.1f}" if found["memory_limit_gb"] else ""
    if found["memory_gb"] is not None:
        print(f"memory      {found['memory_gb']:.1f} GB, {found['memory_free_gb']:.1f} free{limit}")
    used = "" if found["gpu"] == "Apple MPS" else ": training and the engine transformers use it"
    print(f"gpu         {found['gpu'] + used if found['gpu'] else 'none that torch can use'}")
    print(f"native      {_native(found['native'])}")
    for what, x in found["places"].items():
        new = "" if x["exists"] else " (not made yet)"
        print(f"{what:<11} {x['path']}{new}: {x['free_gb']:.0f} of {x['disk_gb']:.0f} GB free")
    if found["speeds"]:
        s = found["speeds"]
        rates = ", ".join(f"{d} {r:,.0f} Gflop/s" for d, r in s["matmul_gflops"].items() if r is not None)
        busy = found["load"] > found["cores"] / 2
        busy_note = f" (others are at work, load {found['load']:.1f}: alone it is faster)" if busy else ""
        disk = f"; disk {s['disk_write_gb_s']:.2f} GB/s written" if s["disk_write_gb_s"] else ""
        print(f"measured    matrix products: {rates}; memory {s['memory_gb_s']:.1f} GB/s{disk}{busy_note}")
    for name, x in found["extras"].items():
        has = ", ".join(f"{n} {v}" for n, v in x["installed"].items())
        lacks = f" MISSING {', '.join(x['missing'])}: {x['pip']}" if x["missing"] else ""
        print(f"[{name}]".ljust(11) + " " + (has or "nothing of it") + lacks)
