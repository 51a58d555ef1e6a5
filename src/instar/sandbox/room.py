"""The sandbox itself: which walls this machine offers, and a run of a program inside them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from instar.errors import SandboxError
from instar.sandbox import bubblewrap, docker, seccomp
from instar.sandbox.limits import Hit, Limits, Outcome
from instar.sandbox.pipes import end_of, feed, framed, kept, refuse_no_command
from instar.sandbox.view import View, view

Kind = Literal["auto", "bubblewrap", "namespaces", "docker"]
FIRST_ID = 1_800_000_000
"""User ids from here on are nobody's: as root, each run gets one of its own, so that what is counted by user is its."""
_GRACE = 10.0
_TRIES = 3
"""How often a program is begun that this machine killed for lack of memory, or whose keeper somebody killed."""
_HERE = Path(__file__).parent
_BOOT = (
    "import sys,types\n"
    f"for n,p in (('instar',{str(_HERE.parent)!r}),('instar.sandbox',{str(_HERE)!r})):\n"
    " m=sys.modules[n]=types.ModuleType(n);m.__path__=[p]\n"
    "from instar.sandbox.keeper import main;main()"
)
"""Starts the keeper without the rest of the package: in a few milliseconds, with the standard library alone."""

_runs = itertools.count()


@dataclass(frozen=True)
class Protection:
    """What stands between a program and this machine. ``missing`` is what it does not have of the full protection."""

    kind: str
    walls: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        lacks = f"; lacks: {', '.join(self.missing)}" if self.missing else ""
        return f"{self.kind}: {', '.join(self.walls)}{lacks}"


@cache
def open_sandbox(kind: Kind = "auto", *, allow_weaker: bool = False, image: str | None = None) -> Sandbox:
    """The best sandbox this machine offers: bubblewrap where it is installed, plain namespaces otherwise.

    Docker only where it is asked for by name: a run takes longer there, and lacks a limit (``instar.sandbox.docker``).
    ``image``: what its containers are made of; None is this Python's own image.

    Tried once for each process with a real run (a tenth of a second), and the same for all who ask: the bound on how
    many programs run at once holds for the whole process.

    Raises:
        SandboxError: there is none, or it has less than full protection and ``allow_weaker`` is not set.
        ValueError: an image for another kind than docker.
    """
    if kind == "docker":
        return _docker(image or docker.IMAGE, allow_weaker)
    if image is not None:
        raise ValueError(f"an image is for kind='docker', not for {kind!r}: {image!r}")
    wanted = [kind] if kind != "auto" else ["bubblewrap", "namespaces"]
    reasons = []
    for one in wanted:
        reason = _tried(one)
        if reason:
            reasons.append(f"{one}: {reason}")
            continue
        protection = Protection(
            one,
            (
                "own processes, mounts, network, users, ipc and host name",
                "own memory-backed files",
                "limits of all kinds",
            )
            + (("system call filter",) if seccomp.program() else ()),
            () if seccomp.program() else ("a system call filter for this processor",),
        )
        return Sandbox(_enough(protection, allow_weaker))
    raise SandboxError(
        f"no sandbox works on this machine ({'; '.join(reasons)}).",
        "Install bubblewrap (apt-get install bubblewrap) or allow user namespaces (sysctl user.max_user_namespaces, "
        "kernel.apparmor_restrict_unprivileged_userns=0). Untrusted code does not run without one.",
    )


def _enough(protection: Protection, allow_weaker: bool) -> Protection:
    if protection.missing and not allow_weaker:
        raise SandboxError(
            f"the sandbox here lacks {', '.join(protection.missing)}.",
            "Run untrusted code with less protection only if you must: open_sandbox(allow_weaker=True).",
        )
    return protection


def _docker(image: str, allow_weaker: bool) -> Sandbox:
    reason = docker.tried(image)
    if reason:
        raise SandboxError(
            f"docker cannot be used here: {reason}.",
            "Mend that, or leave the kind out: open_sandbox() takes bubblewrap or plain namespaces.",
        )
    return Sandbox(_enough(Protection("docker", docker.WALLS, docker.MISSING), allow_weaker), image)


def _tried(kind: str) -> str:
    """Why this kind does not work here, or nothing."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    if kind == "bubblewrap" and bubblewrap.found() is None:
        return "not installed"
    spec = spec_of(kind, ["python", "-I", "-S", "-c", "print(42)"], Limits(seconds=25))  # a busy machine is no reason
    say = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _BOOT, json.dumps(spec), str(say)],
            input=framed({}), capture_output=True, pass_fds=(say,), timeout=30,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "a trial run did not end"
    finally:
        os.close(say)
    if done.stdout == b"42\n":
        return ""
    return (end_of(done.stderr).splitlines() or ["a trial run said nothing"])[-1]


class Sandbox:
    """Runs programs, as many at once as this process may use processors. It keeps nothing between two runs."""

    def __init__(self, protection: Protection, image: str | None = None) -> None:
        self.protection = protection
        self.image = image
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    async def run(
        self,
        files: Mapping[str, str | bytes],
        command: Sequence[str],
        limits: Limits | None = None,
        *,
        stdin: bytes = b"",
    ) -> Outcome:
        """Run ``command`` in a fresh folder that holds ``files``; what it does to them is gone afterwards.

        ``files``: relative path to content. ``command``: program and arguments; ``python`` is this interpreter's
        version with its standard library. Whatever the program does is in the outcome, never an exception. It is begun
        again when this machine ran out of memory and killed it, or when its keeper was killed.

        Raises:
            ValueError: a path that leads out of the folder, an empty command, a NUL in either.
            SandboxError: the walls could not be set up, so nothing was run.
        """
        limits = limits or Limits()
        given = framed(files) + stdin
        refuse_no_command(command)
        turns = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(len(os.sched_getaffinity(0))))
        async with turns:
            if self.image is not None:
                return await docker.run(self.image, command, given, limits)
            for _ in range(_TRIES - 1):
                deaths = _out_of_memory()
                try:
                    outcome = await _run(spec_of(self.protection.kind, command, limits), given, limits)
                except _KeeperKilled:
                    continue
                if outcome.exit_code != 128 + signal.SIGKILL or deaths == _out_of_memory():
                    return outcome
            return await _run(spec_of(self.protection.kind, command, limits), given, limits)


async def begun(spec: dict[str, Any]) -> tuple[asyncio.subprocess.Process, int]:
    """The keeper of a program, whose stdin, stdout and stderr are the program's; and the descriptor that it says on how
    it ended, whose closing ends it."""
    heard, say = os.pipe()
    try:
        keeper = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _BOOT, json.dumps(spec), str(say), pass_fds=(say,),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
        )  # fmt: skip
    except BaseException:
        os.close(heard)
        raise
    finally:
        os.close(say)
    return keeper, heard


class _KeeperKilled(SandboxError):
    """Somebody killed the process that keeps a run, so that nobody knows how it ended."""


def _out_of_memory() -> int:
    """How many processes this machine has killed because it ran out of memory; 0 where it does not say."""
    with contextlib.suppress(OSError), open("/proc/vmstat") as file:
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


async def _run(spec: dict[str, Any], stdin: bytes, limits: Limits) -> Outcome:
    began = time.monotonic()
    keeper, heard = await begun(spec)
    over: list[Hit] = []

    def too_much() -> None:
        nonlocal heard
        if not over:
            over.append("output")
            os.close(heard)  # the keeper notices, ends the program, and then itself
            heard = -1

    try:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        async with asyncio.timeout(limits.seconds + _GRACE), asyncio.TaskGroup() as pipes:  # unlike gather, silent
            pipes.create_task(feed(keeper.stdin, stdin))
            stdout = pipes.create_task(kept(keeper.stdout, limits.output, too_much))
            stderr = pipes.create_task(kept(keeper.stderr, limits.output, too_much))
        out, err = stdout.result(), stderr.result()
        await keeper.wait()
        said = os.read(heard, 4096) if heard >= 0 else b""
    except TimeoutError:
        raise SandboxError(
            f"a program outlived its {limits.seconds:g} s by {_GRACE:g} s: it could not be ended.",
            "Look at the machine.",
        ) from None
    finally:
        if heard >= 0:
            os.close(heard)  # cancelled: the keeper takes the program down
        await gone(keeper)
    seconds = time.monotonic() - began
    if over:
        return Outcome(None, out, err, over[0], seconds)
    if not said:
        raise (_KeeperKilled if keeper.returncode == -signal.SIGKILL else SandboxError)(
            f"the sandbox's keeper ended without a word (exit code {keeper.returncode}).",
            end_of(err),
        )
    ended = json.loads(said)
    if not ended["sealed"] and ended["hit"] is None:
        raise SandboxError("the walls could not be set up, nothing was run.", ended["why"] or end_of(err))
    return Outcome(ended["exit"], out, err, cast(Hit, ended["hit"]), seconds, ended["memory"])


async def gone(keeper: asyncio.subprocess.Process) -> None:
    """Wait for the keeper, two seconds before it is killed and two after, however often we are cancelled meanwhile.

    Left to a loop that is about to close, its pipes would complain.
    """
    for patience in (2.0, 2.0):
        until = time.monotonic() + patience
        while keeper.returncode is None and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(keeper.wait(), left)
        if keeper.returncode is None:
            keeper.kill()
    keeper._transport.close()  # type: ignore[attr-defined]  # its pipes too: nobody reads on
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


def spec_of(kind: str, command: Sequence[str], limits: Limits, seen: View | None = None) -> dict[str, Any]:
    """What the keeper is told of a run: its command, what it sees of the host, and what it may use."""
    seen = seen or view()
    root = os.geteuid() == 0
    program = bubblewrap.found() if kind == "bubblewrap" else None
    number = (os.getpid() * 512 + next(_runs)) % 2**27 * 2
    return {
        "command": list(command),
        "env": seen.env,
        "bubblewrap": bubblewrap.argv(program, seen, root) if program else None,
        "keepers": 2,
        "binds": seen.binds,
        "links": seen.links,
        "outside": FIRST_ID + number if root else None,
        "seconds": limits.seconds,
        "cpu": limits.cpu,
        "memory": limits.memory,
        "processes": limits.processes,
        "disk": limits.disk,
        "inodes": limits.inodes + 4,
        "filter": base64.b64encode(seccomp.program()).decode(),
        "rlimits": {
            "RLIMIT_NPROC": limits.processes + (1 if root else 3),  # a user's count has the walls' own two
            "RLIMIT_AS": 2 * limits.memory + 2**29,  # what one process may ask for; the keeper counts what all have
            "RLIMIT_CPU": int(limits.cpu) + 1,
            "RLIMIT_FSIZE": limits.file,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_SIGPENDING": 256,
        },
    }
