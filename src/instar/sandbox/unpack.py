"""The first process of a container: writes the files of a run, starts the program beside itself, and ends with it.

Standard library alone; this file's text is what is run. As process 1 it cannot be killed from inside, and when it ends
the kernel ends all others: a container whose starter is gone lasts no longer than it was given.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

EVERY = 0.01
"""Seconds between two looks."""


def main() -> None:
    """The last argument is JSON: command, seconds. Stdin: the files as ``instar.sandbox.pipes.framed`` has them, then
    the program's own. Ends with the program's exit code, 128 + the signal for one that a signal ended."""
    given = json.loads(sys.argv[-1])
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: the program, which is the same user, may not trace it
    os.mkdir("tmp", 0o700)
    os.mkdir("work", 0o700)
    os.chdir("work")
    write_files()
    pid = os.fork()
    if pid == 0:
        become(given["command"])
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    until = time.monotonic() + given["seconds"]
    while time.monotonic() < until:
        ended, status = os.waitpid(-1, os.WNOHANG)  # whatever has lost its parent is ours to bury
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        if not ended:
            time.sleep(EVERY)
    os._exit(137)


def become(command: list[Any]) -> None:
    """The program. Does not return."""
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def write_files() -> None:
    """The files of a run into the working folder. Their paths were checked outside."""
    for path, size in json.loads(read(int.from_bytes(read(8), "big"))):
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(read(size))


def read(size: int) -> bytes:
    """Exactly so many bytes of stdin and not one more."""
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 2**20))
        if not part:
            raise OSError(5, "the files of this run ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
