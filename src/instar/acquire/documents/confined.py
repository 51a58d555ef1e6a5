"""A document read in a process of its own, which may take so much time and memory and no more.

A PDF is a program of a kind: streams that unpack to gigabytes, objects that point in circles, trees without an end. A
page of unclosed marks makes a tokenizer begin again at each. Libraries have limits; the process is for what they miss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from instar.acquire.documents.limits import Limits

WAITED = 10
"""Seconds beyond those of a processor that the process is waited for, on a busy machine."""


class Extract(NamedTuple):
    """The text of a file, or why there is none; and what was left out."""

    text: str
    left_out: tuple[str, ...] = ()
    error: str | None = None


def extract(path: Path, kind: Literal["pdf", "html"], limits: Limits) -> Extract:
    """What a file of that kind says, read by another process."""
    asked = json.dumps({"path": str(path.resolve()), "kind": kind, "limits": limits.model_dump()})
    # -P: or a json.py in the folder where the user is, which may be that of the documents, would be run
    command = [sys.executable, "-P", "-m", "instar.acquire.documents.confined"]
    try:
        done = subprocess.run(
            command, input=asked.encode(), capture_output=True,
            timeout=limits.seconds + WAITED, env=_surroundings(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Extract("", error=f"it was not read within {limits.seconds:g} seconds")
    try:
        found = json.loads(done.stdout)
        return Extract(str(found["text"]), tuple(map(str, found["left_out"])), found["error"])
    except (ValueError, KeyError, TypeError):
        return Extract("", error=_ended(done.returncode, limits))


def _surroundings() -> dict[str, str]:
    """Where Python finds its modules, and no key or token of the user's."""
    here = str(Path(__file__).resolve().parents[3])
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")}
    return kept | {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])}


def _ended(code: int, limits: Limits) -> str:
    if code in (-9, -15, -24):
        return f"reading it took more than {limits.seconds:g} seconds of a processor, or was killed"
    return f"the process that read it ended with {code}: it is broken, or wants more than {limits.memory:,} bytes"


def _confine(limits: Limits) -> None:
    import resource

    seconds = max(1, int(limits.seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write but its answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve() -> None:
    """In the process: one file, one answer."""
    from instar.acquire.documents.html import text_of_html
    from instar.acquire.documents.pdf import pages_of

    asked = json.loads(sys.stdin.buffer.read())
    path, limits = Path(asked["path"]), Limits(**asked["limits"])
    _confine(limits)
    found = Extract("")
    try:
        if asked["kind"] == "pdf":
            text, left_out = pages_of(path, limits)
        else:
            text, left_out = text_of_html(path.read_text("utf-8-sig"), limits)
        found = Extract(text, tuple(left_out))
    except MemoryError:
        found = Extract("", error=f"it wants more than {limits.memory:,} bytes of memory")
    except RecursionError:
        found = Extract("", error="it is nested without an end")
    except Exception as broken:  # a library raises what it will on a broken file
        found = Extract("", error=f"it cannot be read ({type(broken).__name__}: {str(broken)[:120]})")
    sys.stdout.buffer.write(json.dumps(found._asdict()).encode())


if __name__ == "__main__":
    _serve()
