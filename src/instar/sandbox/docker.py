"""Walls made by Docker, where it is asked for by name: one container a run, thrown away afterwards.

Never run against a real daemon by us: the arguments, the refusals and what is made of a container's end were tested
with a program called ``docker`` that stands in for it; of Docker itself only the client has read the arguments. Try it
on your machine before you rely on it.

What is different from the other walls:

- ``cpu`` binds each process alone (``--ulimit cpu``), and all together are held to one processor (``--cpus``) until the
  wall clock ends them: there is no limit on their sum. Hence ``MISSING``.
- Wall clock, processor time, memory and output are named when they end a program. Processes and disk are bounded too,
  but nobody tells: the call that goes beyond fails inside.
- The system call filter is Docker's own.
- What a program sees of a file system is the image. It is never pulled; it must hold a ``python3``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from instar.errors import SandboxError
from instar.sandbox import unpack
from instar.sandbox.limits import Hit, Limits, Outcome
from instar.sandbox.pipes import end_of, feed, framed, kept

IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
WALLS = (
    "own processes, mounts, ipc and host name",
    "no network",
    "a read-only image",
    "own memory-backed files",
    "Docker's system call filter",
)
MISSING = ("a limit on the processor time of all processes together",)
BOX = "/box"
_ANSWER = 30.0
"""Seconds that Docker itself may take for a command that runs no program."""
_AFTER = 10
"""Seconds after its limit at which a container ends by itself, if whoever started it is gone."""
_XCPU = 152


def found() -> str | None:
    """Where Docker's client is, if it is installed."""
    return shutil.which("docker")


def tried(image: str) -> str:
    """Why Docker does not work here, or nothing. Asks its daemon, looks for the image, and runs a small program."""
    program = found()
    if program is None:
        return "it is not installed"
    try:
        daemon = _said(program, "version", "--format", "{{.Server.Version}}")
        if daemon.returncode:
            return f"its daemon does not answer ({_last(daemon.stderr)})"
        if _said(program, "image", "inspect", image).returncode:
            return f"the image {image} is not there (docker pull {image})"
        name = _name()
        try:
            command = ["python3", "-I", "-S", "-c", "print(42)"]
            done = _said(program, *argv(name, image, command, Limits(seconds=25)), given=framed({}))
        finally:
            _said(program, "rm", "--force", name)
    except subprocess.TimeoutExpired:
        return f"it did not answer within {_ANSWER:g} s"
    return "" if done.stdout == b"42\n" else f"a trial run failed ({_last(done.stderr)})"


def argv(name: str, image: str, command: Sequence[str], limits: Limits) -> list[str]:
    """The arguments of ``docker`` for one run: everything that is a wall stands here."""
    memory = limits.memory + limits.disk  # files in memory are counted too
    cpu = math.ceil(limits.cpu)  # the signal that names it, and a second later the one that ends it for sure
    return [
        "run", "--name", name, "--interactive", "--pull", "never", "--log-driver", "none",
        "--network", "none", "--ipc", "none", "--hostname", "box",
        "--read-only", "--workdir", BOX,
        "--tmpfs", f"{BOX}:rw,nosuid,nodev,noexec,size={limits.disk},nr_inodes={limits.inodes + 4},mode=1777",
        "--user", "65534:65534", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--pids-limit", str(limits.processes + 1),  # one is ours
        "--memory", str(memory), "--memory-swap", str(memory), "--cpus", "1",
        "--ulimit", f"cpu={cpu}:{cpu + 1}", "--ulimit", f"fsize={limits.file}",
        "--ulimit", f"nofile={limits.open_files}", "--ulimit", "core=0",
        "--env", f"HOME={BOX}/work", "--env", f"TMPDIR={BOX}/tmp", "--env", "PYTHONHASHSEED=0",
        "--env", "PYTHONDONTWRITEBYTECODE=1",
        "--entrypoint", "python3",
        image, "-I", "-S", "-c", Path(unpack.__file__).read_text(encoding="utf-8"),
        json.dumps({"command": list(command), "seconds": limits.seconds + _AFTER}),
    ]  # fmt: skip


async def run(image: str, command: Sequence[str], given: bytes, limits: Limits) -> Outcome:
    """Run ``command`` in a container of its own, which is gone when this returns. ``given``: files, framed, and stdin.

    Raises:
        SandboxError: Docker is gone, or did not start the container.
    """
    program = found()
    if program is None:
        raise SandboxError("docker is no longer installed.", "Nothing was run.")
    began = time.monotonic()
    name = _name()
    client = await asyncio.create_subprocess_exec(
        program, *argv(name, image, command, limits),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    over: list[Hit] = []
    killing: list[asyncio.Task[tuple[int, bytes]]] = []

    def end(hit: Hit) -> None:
        if not over:
            over.append(hit)
            killing.append(asyncio.create_task(_asked(program, "kill", name)))

    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stderr is not None
    clock = asyncio.get_running_loop().call_later(limits.seconds, end, "wall")
    try:
        async with asyncio.timeout(limits.seconds + _ANSWER), asyncio.TaskGroup() as pipes:  # unlike gather, silent
            pipes.create_task(feed(client.stdin, given))
            stdout = pipes.create_task(kept(client.stdout, limits.output, lambda: end("output")))
            stderr = pipes.create_task(kept(client.stderr, limits.output, lambda: end("output")))
        out, err = stdout.result(), stderr.result()
        await client.wait()
        await asyncio.gather(*killing)
        state, said = await _asked(program, "inspect", "--format", _STATE, name)
    except TimeoutError:
        raise SandboxError(
            f"a container outlived its {limits.seconds:g} s by {_ANSWER:g} s: it could not be ended.",
            "Look at docker ps.",
        ) from None
    finally:
        clock.cancel()
        with contextlib.suppress(ProcessLookupError):
            if client.returncode is None:
                client.kill()
        await asyncio.shield(_asked(program, "rm", "--force", name))
    seconds = time.monotonic() - began
    if over:
        return Outcome(None, out, err, over[0], seconds)
    parts = said.decode("utf-8", "replace").split()
    if state or len(parts) != 3 or parts[0] == "created":
        raise SandboxError("docker did not start the container, nothing was run.", end_of(err))
    code = int(parts[2])
    if parts[1] == "true":
        return Outcome(None, out, err, "memory", seconds)
    return Outcome(None, out, err, "cpu", seconds) if code == _XCPU else Outcome(code, out, err, None, seconds)


_STATE = "{{.State.Status}} {{.State.OOMKilled}} {{.State.ExitCode}}"


def _name() -> str:
    return f"instar-{secrets.token_hex(8)}"


def _said(program: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, *words], input=given, capture_output=True, timeout=_ANSWER, check=False)


async def _asked(program: str, *words: str) -> tuple[int, bytes]:
    """(exit code, stdout) of a command of Docker's that runs no program; 1 when it does not answer in time."""
    done = await asyncio.create_subprocess_exec(
        program, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(done.communicate(), _ANSWER)
    except TimeoutError:
        done.kill()
        return 1, b""
    return done.returncode or 0, out


def _last(text: bytes) -> str:
    return (end_of(text).splitlines() or ["it said nothing"])[-1]
