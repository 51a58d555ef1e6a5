"""Our C++ kernels, compiled on the machine that runs them: once, kept under INSTAR_HOME, loaded through ctypes.

They are compiled here and not shipped: a wheel would be one more thing to trust and to build for every platform, and a
compiler is four seconds of work. What is kept is named by a hash of all that went into it, so a newer kernel or another
compiler makes a new file and none is ever stale.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from instar.errors import ModelError

SOURCES = Path(__file__).parent / "kernels"
FLAGS = ("-std=c++20", "-O3", "-march=sapphirerapids", "-w", "-shared", "-fPIC", "-pthread")
COMPILERS = ("g++", "clang++", "c++")
CPUINFO = Path("/proc/cpuinfo")
NEEDED = {
    "f32": ("avx512f", "avx512bw", "avx512vl", "avx512_bf16"),
    "bf16": ("avx512f", "avx512bw", "avx512vl", "avx512_bf16", "amx_tile", "amx_bf16"),
}
"""Precision -> what the processor must have, in the words of /proc/cpuinfo."""


def why_not(precision: str | None = None) -> str | None:
    """What this machine lacks to run the kernels (at any precision, or at this one), as a sentence; None if nothing.

    Compiles nothing.
    """
    return no_processor(precision) or no_compiler()


def no_processor(precision: str | None = None) -> str | None:
    """What the system or the processor lacks, whatever compiler there is."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"The native engine runs on Linux on x86-64 processors; this is {platform.system()} on " + (
            f"{platform.machine()}."
        )
    try:
        flags = set(CPUINFO.read_text("utf-8", "replace").split())
    except OSError as e:
        return f"{CPUINFO} cannot be read ({e.strerror}), so what the processor has is not known."
    lacking = [f for f in NEEDED[precision or "f32"] if f not in flags]
    if lacking:
        at = f" at {precision}" if precision else ""
        return f"The processor lacks {', '.join(lacking)}, which the native engine needs{at}."
    return None


def no_compiler() -> str | None:
    """Why no compiler here can build the kernels, whatever the processor is."""
    compiler = _compiler()
    if isinstance(compiler, str):
        return compiler
    said = _refusal(compiler)
    return None if said is None else f"The compiler {shlex.join(compiler)} cannot build the kernels: {said}"


def library() -> ctypes.CDLL:
    """The compiled kernels. Takes seconds the first time on a machine.

    Raises ModelError where they cannot be had.
    """
    missing = why_not()
    compiler = _compiler()
    if missing is not None or isinstance(compiler, str):
        raise ModelError(missing or str(compiler), "Use another engine: openvino or transformers.")
    try:
        return _loaded(compiler, _folder())
    except OSError as e:
        raise ModelError(
            f"The compiled kernels cannot be kept in {_folder()} or loaded from there: {e}.",
            "Point INSTAR_HOME at a folder that can be written to and executed from.",
        ) from e


@cache
def _loaded(compiler: tuple[str, ...], folder: Path) -> ctypes.CDLL:
    path = folder / f"{_name(compiler)}.so"
    if not path.is_file():
        _compile(compiler, path)
    return ctypes.CDLL(str(path))


def _compile(compiler: tuple[str, ...], path: Path) -> None:
    """Under a name of its own first: two processes that compile at once each put a whole file in the same place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="part-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        done = _run([*compiler, *FLAGS, str(SOURCES / "llama.cpp"), "-o", str(part)])
        if done.returncode:
            said = " / ".join(done.stderr.strip().splitlines()[:5])
            raise ModelError(
                f"The kernels could not be compiled with {shlex.join(compiler)}: {said:.600}.",
                "Name another compiler in CXX (g++ 12 is known to do), or use the openvino engine.",
            )
        os.replace(part, path)


def _name(compiler: tuple[str, ...]) -> str:
    hashed = hashlib.sha256("\0".join([*compiler, *FLAGS, _version(compiler)]).encode())
    for source in sorted(SOURCES.iterdir()):
        if source.is_file():
            hashed.update(source.name.encode() + b"\0" + source.read_bytes())
    return hashed.hexdigest()[:32]


def _compiler() -> tuple[str, ...] | str:
    """The command, or a sentence that says why there is none. CXX, where it is set, is meant."""
    asked = shlex.split(os.environ.get("CXX", ""))
    if asked:
        found = shutil.which(asked[0])
        return (found, *asked[1:]) if found else f"There is no C++ compiler {asked[0]!r}, which CXX names."
    for name in COMPILERS:
        if path := shutil.which(name):
            return (path,)
    return f"There is no C++ compiler ({', '.join(COMPILERS)}) here, which the native engine needs."


@cache
def _refusal(compiler: tuple[str, ...]) -> str | None:
    """What the compiler says to our flags and its own library: too old a one knows neither."""
    try:
        done = _run([*compiler, *FLAGS, "-fsyntax-only", "-x", "c++", "-"], "#include <atomic>\n")
    except OSError as e:
        return f"{e}."
    if done.returncode == 0:
        return None
    return f"{(done.stderr.strip().splitlines() or ['it gives no reason'])[0]:.300}."


@cache
def _version(compiler: tuple[str, ...]) -> str:
    return _run([*compiler, "--version"]).stdout


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, errors="replace", check=False)


def _folder() -> Path:
    place = os.environ.get("INSTAR_HOME")
    return (Path(place).expanduser() if place else Path.home() / ".cache" / "instar") / "kernels"
