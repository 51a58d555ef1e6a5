"""A program inside the walls that is talked to while it runs, and may go on for long: a server of tools, say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from instar.errors import SandboxError
from instar.sandbox.limits import Limits
from instar.sandbox.pipes import framed, refuse_no_command
from instar.sandbox.room import Sandbox, begun, gone, spec_of
from instar.sandbox.view import View, view


def sees(*more: Path) -> View:
    """The view of a program that also reads these files and folders of the host, each at its own place."""
    seen = view()
    there = {inside for _, inside in seen.binds}
    new = [p for p in dict.fromkeys(str(p.resolve()) for p in more) if p not in there and p != "/"]
    outermost = [p for p in new if not any(Path(q) in Path(p).parents for q in new)]
    # what lies in /tmp takes the place of the link to a /tmp of its own, which TMPDIR goes on naming
    links = [[at, link] for at, link in seen.links if not any(Path(link) in Path(p).parents for p in outermost)]
    return replace(seen, binds=[*seen.binds, *([p, p] for p in outermost)], links=links)


@asynccontextmanager
async def live(
    sandbox: Sandbox, command: Sequence[str], limits: Limits, seen: View, over: Callable[[str], None] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program, running: its stdin, stdout and stderr are pipes. It has no network, an empty working folder, and is
    ended with this context, or where it runs into a limit (of ``output`` nothing is counted: who reads it does). Which
    limit that was is told to ``over``, about when the program is gone.

    Raises:
        ValueError: an empty command, or a NUL in it.
        SandboxError: walls of a kind that cannot be talked through (docker).
    """
    refuse_no_command(command)
    if sandbox.image is not None:
        raise SandboxError(
            "a program in a container cannot be talked to while it runs.", "Take bubblewrap or plain namespaces."
        )
    process, heard = await begun(spec_of(sandbox.protection.kind, command, limits, seen))
    loop = asyncio.get_running_loop()

    def told() -> None:
        loop.remove_reader(heard)
        with contextlib.suppress(OSError, ValueError, KeyError):
            if over is not None and (hit := json.loads(os.read(heard, 4096))["hit"]):
                over(hit)

    loop.add_reader(heard, told)
    try:
        assert process.stdin is not None
        process.stdin.write(framed({}))
        yield process
    finally:
        loop.remove_reader(heard)
        with contextlib.suppress(OSError):
            os.close(heard)  # the keeper notices, and takes the program down
        await gone(process)
