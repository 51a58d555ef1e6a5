"""What goes into a run and what comes out of it: its files and its stdin framed, its output kept up to a limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath


def framed(files: Mapping[str, str | bytes]) -> bytes:
    """Files as the head of stdin: 8 bytes that say how long a JSON list of [path, size] is, the list, the contents.

    Raises:
        ValueError: a path that leads out of the folder, or that no file can have.
    """
    contents: list[bytes] = []
    index: list[tuple[str, int]] = []
    for path, content in files.items():
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path or len(path.encode()) > 1024:
            raise ValueError(f"not a path inside the scratch folder: {path!r:.100}")
        contents.append(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        index.append((path, len(contents[-1])))
    head = json.dumps(index).encode()
    return len(head).to_bytes(8, "big") + head + b"".join(contents)


def refuse_no_command(command: Sequence[str]) -> None:
    """Raises ValueError for a command that cannot be run: none at all, or one with a NUL in it."""
    if not command or any("\0" in part for part in command):
        raise ValueError(f"not a command: {list(command)!r:.100}")


async def feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    """Hand over all of stdin; a program need not read it."""
    with contextlib.suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()
    with contextlib.suppress(ConnectionError):
        await pipe.wait_closed()


async def kept(pipe: asyncio.StreamReader, most: int, too_much: Callable[[], None]) -> bytes:
    """What comes out, up to ``most`` bytes; the rest is read and thrown away while the program is taken down."""
    parts: list[bytes] = []
    left = most
    while part := await pipe.read(2**16):
        parts.append(part[:left])
        if len(part) > left:
            too_much()
        left -= len(parts[-1])
    return b"".join(parts)


def end_of(text: bytes) -> str:
    """The last 500 characters of an output, for a reason in words."""
    return text.decode("utf-8", "replace").strip()[-500:]
