"""The wire to a server of tools that speaks MCP: a program's pipes, behind walls or not, or HTTP; all of it bounded.

The protocol is that of the package ``mcp``; its own pipes to a program are not used: they hand on the user's HOME and
PATH, know no walls, and read lines without end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instar.errors import ConfigError
from instar.sandbox import Limits, open_sandbox
from instar.sandbox.live import live, sees
from instar.sandbox.room import Kind
from instar.sandbox.view import View

LARGEST = 4_000_000
"""Bytes of one message, and of one answer over HTTP; a server that says more at once is not listened to."""
LIMITS = Limits(seconds=3600, memory=1024 * 2**20, processes=64, open_files=256, disk=64 * 2**20)
"""What a server behind walls may use; after the hour another one is begun."""
_PATIENCE = 2.0
_LOOKS = 50
"""How often it is looked, each 10 ms, whether a program that closed its stdout is gone."""
_QUOTED = 300
_SHORTEST = 4
"""Characters that a variable must hold to be taken for a key: shorter ones stand in any text."""


@dataclass(frozen=True)
class Place:
    """Where a server is: a program to start, or a URL. ``env`` and ``key`` are names of environment variables."""

    command: tuple[str, ...] = ()
    url: str = ""
    reads: tuple[str, ...] = ()
    network: bool = False
    env: tuple[str, ...] = ()
    key: str = ""
    sandbox: Kind = "auto"
    allow_weaker: bool = False
    disk: int = LIMITS.disk
    """Bytes that a program behind walls may write to files."""
    begins: float = 0.0
    """Seconds in which a server must have said which tools it has; 0: as many as any."""

    @property
    def walls(self) -> bool:
        """Whether it is a program that runs behind the sandbox's walls."""
        return bool(self.command) and not self.network

    def __str__(self) -> str:
        """In words, for the one who starts it."""
        if self.url:
            return self.url
        given = f", given {', '.join(self.env)}" if self.env else ""
        reads = f", reading {', '.join(self.reads)}" if self.reads else ""
        how = f"with the network and your rights{given}" if self.network else f"in the sandbox, without network{reads}"
        return f"{' '.join(self.command)} ({how})"

    def argv(self) -> list[str]:
        """The command with its program and its files by their whole paths. Raises ConfigError for no such program."""
        program, *rest = self.command
        path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        found = sys.executable if program in ("python", "python3") else shutil.which(program, path=path)
        if found is None:
            raise ConfigError(f"there is no program {program!r:.200} to start as a tool server.", "Install it first.")
        return [found, *(str(Path(part).resolve()) if os.path.isfile(part) else part for part in rest)]

    def seen(self, argv: Sequence[str]) -> View:
        """What a program behind walls sees of the host."""
        files = [Path(p) for p in argv[1:] if os.path.isfile(p)]  # a long argument is no path, and no error
        return sees(Path(sys.prefix), Path(sys.base_prefix), *map(Path, self.reads), *files)

    def headers(self) -> dict[str, str]:
        """What carries the key. Raises ConfigError where the variable that holds it is not set."""
        if not self.key:
            return {}
        value = os.environ.get(self.key, "").strip()
        if not value or not value.isascii() or not value.isprintable():
            raise ConfigError(f"the environment variable {self.key} holds no key for {self.url}.", "Set it.")
        return {"Authorization": f"Bearer {value}"}

    def variables(self) -> dict[str, str]:
        """The environment of a program that is no longer behind walls: what was declared, and nothing else."""
        missing = [name for name in self.env if name not in os.environ]
        if missing:
            raise ConfigError(
                f"the environment variable {missing[0]} is to be given to {self}, and is not set.", "Set it."
            )
        return {name: os.environ[name] for name in self.env}

    def without_keys(self, text: str) -> str:
        """A text of the server without what the declared variables hold, which it may say back: plain, in JSON, or a
        line of it."""
        held: dict[str, str] = {}
        for name in (*self.env, *([self.key] if self.key else [])):
            value = os.environ.get(name, "")
            for form in (value, value.strip(), json.dumps(value)[1:-1], *(v for v in value.split("\n") if len(v) > 7)):
                if len(form) >= _SHORTEST:
                    held.setdefault(form, name)
        for form in sorted(held, key=len, reverse=True):
            text = text.replace(form, f"(what {held[form]} holds)")
        return text


@dataclass
class Heard:
    """What is known of a server beside its messages: its last words, and why it is not listened to any more."""

    last: bytes = b""
    why: str = ""
    over: bool = field(default=False)

    def limited(self, hit: str) -> None:
        """It was ended where it ran into a limit: its last words say nothing of that."""
        self.why = self.why or f"it was ended by its limit of {hit}"

    def reason(self, place: Place) -> str:
        """Why it says nothing more, in a sentence."""
        end = self.last.decode("utf-8", "replace").strip().splitlines()
        return self.why or (f"it ended: {place.without_keys(end[-1])[-_QUOTED:]}" if end else "it ended")


def wire(place: Place, heard: Heard) -> AbstractAsyncContextManager[Any]:
    """The two streams that a client of the package ``mcp`` reads and writes. Entering it starts the program."""
    return _http(place) if place.url else _program(place, heard)


@asynccontextmanager
async def _program(place: Place, heard: Heard) -> AsyncIterator[Any]:
    argv = place.argv()
    if place.walls:
        sandbox = open_sandbox(place.sandbox, allow_weaker=place.allow_weaker)
        seen = place.seen(argv)
        limits = LIMITS.model_copy(update={"disk": place.disk})
        process: AbstractAsyncContextManager[asyncio.subprocess.Process] = live(
            sandbox, argv, limits, seen, heard.limited
        )
    else:
        process = _unwalled(argv, place.variables())
    async with process as running, _streams(running, heard) as streams:
        yield streams


@asynccontextmanager
async def _unwalled(argv: Sequence[str], env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()  # the protocol's word for: end yourself
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(process.wait(), _PATIENCE)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever it began is of its session
        process._transport.close()  # type: ignore[attr-defined]  # its pipes too: nobody reads on


@asynccontextmanager
async def _streams(process: asyncio.subprocess.Process, heard: Heard) -> AsyncIterator[Any]:
    """The pipes of a program as streams of messages."""
    import anyio
    import mcp_types
    from mcp.shared.message import SessionMessage

    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    hand_in, inbox = anyio.create_memory_object_stream[Any](0)
    outbox, hand_out = anyio.create_memory_object_stream[Any](0)

    async def reading() -> None:
        async with hand_in:
            async for line in _lines(stdout, heard):
                try:
                    await hand_in.send(
                        SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
                    )
                except ValueError as e:
                    await hand_in.send(e)
            for _ in range(_LOOKS):  # why it ended is known once it is gone; to wait for it is to wait for its pipes
                if process.returncode is not None or heard.why:
                    break
                await asyncio.sleep(0.01)
        heard.over = True

    async def writing() -> None:
        with contextlib.suppress(ConnectionError):
            async for message in hand_out:
                said = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                stdin.write(f"{said}\n".encode())
                await stdin.drain()

    async def hearing() -> None:
        while part := await stderr.read(2**16):
            heard.last = (heard.last + part)[-2_000:]

    tasks = [asyncio.create_task(work()) for work in (reading, writing, hearing)]
    try:
        yield inbox, outbox
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (hand_in, inbox, outbox, hand_out):
            stream.close()


async def _lines(pipe: asyncio.StreamReader, heard: Heard) -> AsyncIterator[bytes]:
    rest = b""
    while part := await pipe.read(2**16):
        *lines, rest = (rest + part).split(b"\n") if b"\n" in part else (rest + part,)
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > LARGEST:
            heard.why = f"it said more than {LARGEST:,} bytes in one message"
            return


@asynccontextmanager
async def _http(place: Place) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def bounded(response: Any) -> None:
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":  # it was asked for none, and 1.5 MB of it are 1.5 GB to whoever unpacks them
            raise httpx2.ReadError(f"it answers packed ({packed}), which it was not asked for")
        response.stream = _counted(response.stream)

    client = httpx2.AsyncClient(
        headers={**place.headers(), "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(30.0, read=300.0),
        event_hooks={"response": [bounded]},
    )
    async with client, streamable_http_client(place.url, http_client=client, max_sse_event_size=LARGEST) as streams:
        yield streams


def _counted(stream: Any) -> Any:
    """The body of an answer, which ends in an error where it is longer than ``LARGEST``."""
    import httpx2

    class Counted(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in stream:
                size += len(part)
                if size > LARGEST:
                    raise httpx2.ReadError(f"it said more than {LARGEST:,} bytes in one answer")
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    return Counted()
