"""The process that keeps one run: sets up its walls, watches it from outside, and takes it down.

A process and not a task of the run's event loop: a loop that is busy for seconds must not let a program eat the
machine. It watches the whole tree of processes, since a limit of the kernel's binds each process alone. It dies, and
the program with it, when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

from instar.sandbox import jail, seal
from instar.sandbox.offspring import adopt, tree

EVERY = 0.01
"""Seconds between two looks. What can be taken in between is what a limit may be overrun by."""
HELD_EVERY = 5
"""Looks between two counts of what descriptors hold."""
_PIPE = 2**16
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Arguments: the spec as JSON, and the descriptor on which to say how it ended. Stdin, stdout and stderr are the
    program's. Says one JSON object: exit, hit, memory, sealed, why."""
    spec, said = json.loads(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(said, False)
    adopt()  # nothing can slip away from under us
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is the run's to answer: it closes our pipe
    began = time.monotonic()
    heard, tell = os.pipe()
    spec["tell"] = tell
    if spec["bubblewrap"]:
        argv = [*spec["bubblewrap"], json.dumps({k: v for k, v in spec.items() if k not in ("bubblewrap", "binds")})]
        root = subprocess.Popen(argv, env={}, pass_fds=(tell,)).pid
    else:
        root = jail.enter(spec)
    os.close(tell)
    watch = Watch(root, spec, began)
    exit_code, hit = watch.until_the_end(said)
    told = os.read(heard, 4096)  # all who could write are gone
    sealed = told == seal.SEALED
    ended = {
        "exit": exit_code,
        "hit": hit,
        "memory": watch.memory,
        "sealed": sealed,
        "why": "" if sealed else told.decode(),
    }
    with contextlib.suppress(OSError):
        os.write(said, json.dumps(ended).encode())
    os._exit(0)


class Watch:
    """Looks at the tree below ``root`` until it ends or does too much."""

    def __init__(self, root: int, spec: dict[str, Any], began: float) -> None:
        self.root, self.spec, self.began = root, spec, began
        self.memory = 0
        self.full = False
        self._tree: list[int] = []
        self._looks = 0
        self._held = 0
        self._socket = _default("/proc/sys/net/core/wmem_default")

    def until_the_end(self, said: int) -> tuple[int | None, str | None]:
        """(exit code, None), or (None, the limit that was hit). All processes are gone when it returns."""
        gone = select.poll()
        gone.register(said, 0)  # POLLERR comes unasked when the reader is gone
        done = os.pidfd_open(self.root)
        gone.register(done, select.POLLIN)
        hit: str | None = None
        wait = 0.002
        while hit is None:
            events = dict(gone.poll(wait * 1000))
            if done in events:
                break
            hit = "cancelled" if said in events else self.look()
            wait = min(EVERY, wait * 1.5)
        if hit is not None:
            self.kill()
        code = self._reap()
        if hit is None and self.full:
            return code, "disk"
        return (code, None) if hit is None else (None, hit)

    def look(self) -> str | None:
        """Which limit the tree is over now, if any."""
        spec = self.spec
        if time.monotonic() - self.began > spec["seconds"]:
            return "wall"
        self._tree = tree(self.root)
        ours = spec["keepers"]  # processes of the walls themselves
        if len(self._tree) - ours > spec["processes"]:
            return "processes"
        memory, ticks = 0, 0
        for pid in self._tree[ours:]:
            resident, used = usage(pid)
            memory += resident
            ticks += used
        if self._looks % HELD_EVERY == 0:
            self._held = self._in_descriptors(self._tree[ours:])
        self._looks += 1
        if memory + self._held > spec["memory"]:
            memory = sum(map(proportional, self._tree[ours:]))
        memory += self._held
        self.memory = max(self.memory, memory)
        if memory > spec["memory"]:
            return "memory"
        if ticks / _TICK > spec["cpu"]:
            return "cpu"
        self._look_at_disk()
        return None

    def _in_descriptors(self, pids: list[int]) -> int:
        """Bytes that the kernel may hold for these processes in pipes and sockets: as much as each can take.

        No process is charged for them. One whose descriptors cannot be seen may have as many sockets as it is allowed.
        """
        seen: set[str] = set()
        hidden = 0
        for pid in pids:
            try:
                for number in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(FileNotFoundError):
                        seen.add(os.readlink(f"/proc/{pid}/fd/{number}"))
            except PermissionError:
                hidden += self.spec["rlimits"]["RLIMIT_NOFILE"]
            except OSError:
                continue
        pipes = sum(name.startswith("pipe:") for name in seen)
        sockets = sum(name.startswith("socket:") for name in seen) + hidden
        return pipes * _PIPE + sockets * self._socket

    def _look_at_disk(self) -> None:
        if not self.full and self._tree:
            with contextlib.suppress(OSError):
                space = os.statvfs(f"/proc/{self._tree[-1]}/root{seal.BOX}")
                if 0 < space.f_blocks <= self.spec["disk"] // space.f_frsize + 1:
                    self.full = space.f_bavail * 50 < space.f_blocks or space.f_favail * 50 < space.f_files

    def kill(self) -> None:
        """End process 1 of the world inside: the kernel ends all others with it."""
        for pid in reversed(tree(self.root)[: self.spec["keepers"] + 1]):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        code: int | None = None
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                return code
            if pid == self.root:
                raw = os.waitstatus_to_exitcode(status)
                code = raw if raw >= 0 else 128 - raw
                for left in tree(os.getpid())[1:]:  # what the walls' own process left behind
                    with contextlib.suppress(OSError):
                        os.kill(left, signal.SIGKILL)


def usage(pid: int) -> tuple[int, int]:
    """(resident bytes, ticks of processor time with those of children that were waited for)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[21]) * _PAGE, sum(int(fields[i]) for i in (11, 12, 13, 14))


def proportional(pid: int) -> int:
    """Resident bytes with shared pages divided among those that share them."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return usage(pid)[0]


def _default(path: str) -> int:
    """A number that the kernel keeps in a file; a quarter of a MB where it cannot be read."""
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 2**18
