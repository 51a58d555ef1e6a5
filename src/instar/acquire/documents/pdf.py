"""The text of a PDF, read by pypdf in a process of its own, which may take so much time and memory and no more.

A PDF is a program of a kind: streams that unpack to gigabytes, objects that point in circles, trees without an end.
pypdf has limits of its own; the process is for what they miss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from instar.acquire.documents.limits import Limits
from instar.errors import ConfigError

PAGE_END = "\n\n"


class Pages(NamedTuple):
    """The text of all pages, or why there is none; and what was left out."""

    text: str
    left_out: tuple[str, ...] = ()
    error: str | None = None


def text_of_pdf(path: Path, limits: Limits) -> Pages:
    """The text of a PDF's pages in their order. Raises ConfigError where pypdf is not installed."""
    if find_spec("pypdf") is None:
        raise ConfigError("pypdf is needed to read PDFs.", "pip install 'instar[documents]'.")
    asked = json.dumps({"path": str(path.resolve()), **limits.model_dump()})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "instar.acquire.documents.pdf"], input=asked.encode(), capture_output=True,
            timeout=limits.seconds + 10, env=_surroundings(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Pages("", error=f"it was not read within {limits.seconds:g} seconds")
    try:
        found = json.loads(done.stdout)
        return Pages(str(found["text"]), tuple(map(str, found["left_out"])), found["error"])
    except (ValueError, KeyError, TypeError):
        return Pages("", error=_ended(done.returncode, limits))


def _surroundings() -> dict[str, str]:
    """Where Python finds its modules, and no key or token of the user's."""
    here = str(Path(__file__).resolve().parents[3])
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")}
    return kept | {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])}


def _ended(code: int, limits: Limits) -> str:
    if code in (-9, -24, -15):
        return f"reading it took more than {limits.seconds:g} seconds of a processor, or was killed"
    return f"the process that read it ended with {code}: it is broken, or wants more than {limits.memory:,} bytes"


def _confined(seconds: float, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (max(1, int(seconds)), max(2, int(seconds) + 1)))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))  # it has nothing to write
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _pages(reader: Any, limits: Limits, left_out: list[str]) -> Iterator[str]:
    count, characters, broken = len(reader.pages), 0, 0
    for number in range(min(count, limits.pages)):
        try:
            said = str(reader.pages[number].extract_text() or "")
        except Exception:  # a page that cannot be read is one page less, whatever its library raises
            broken += 1
            continue
        characters += len(said)
        if characters > limits.characters:
            left_out.append(f"pages from {number + 1} on: more than {limits.characters:,} characters")
            break
        yield said
    if count > limits.pages:
        left_out.append(f"{count - limits.pages} pages after the first {limits.pages}")
    if broken:
        left_out.append(f"{broken} pages that are broken")


def _serve() -> None:
    """In the process: one PDF, one answer."""
    import logging

    asked = json.loads(sys.stdin.buffer.read())
    path = asked.pop("path")
    limits = Limits(**asked)
    _confined(limits.seconds, limits.memory)
    logging.disable(logging.CRITICAL)
    left_out: list[str] = []
    text, error = "", None
    try:
        from pypdf import PdfReader

        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            error = "it is locked with a password"
        else:
            text = PAGE_END.join(_pages(reader, limits, left_out))
    except MemoryError:
        error = f"it wants more than {limits.memory:,} bytes of memory"
    except Exception as broken:  # its library raises what it will on a broken file
        error = f"it is no PDF that can be read ({type(broken).__name__}: {str(broken)[:120]})"
    sys.stdout.buffer.write(json.dumps({"text": text, "left_out": left_out, "error": error}).encode())


if __name__ == "__main__":
    _serve()
