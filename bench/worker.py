"""A side that lives in a process of its own, often in a virtual environment of its own: one JSON line in, one out.

The script reads ``{"work": {...}}`` lines and answers ``{"value": .., "seconds": .., "detail": {..}}``; its first line,
once it has loaded, is ``{"ready": true}``. While it has no turn it is stopped (SIGSTOP), so that a peer that spins
while it waits takes nothing from the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.others import Others
from bench.pairs import Reading

ROOT = Path(__file__).parent


class Worker:
    """A ``Side`` that runs ``script`` (under bench/) with ``python``, given ``settings`` as one JSON argument.

    ``fresh``: a new process for each piece of work, for peak memory, where what was freed before would still count.
    """

    def __init__(
        self,
        name: str,
        script: str,
        settings: Callable[[], Mapping[str, Any]],
        python: Callable[[], Path] | None = None,
        fresh: bool = False,
        tree: Path = ROOT.parent,
    ) -> None:
        self.name = name
        self._tree = tree
        """The checkout whose script and source are at work: this one."""
        self._script, self._settings, self._python, self._fresh = script, settings, python, fresh
        """``settings`` and ``python`` are asked for when the side opens: listing the rows must install nothing."""
        self._process: subprocess.Popen[str] | None = None
        self._log: Any = None

    @property
    def pid(self) -> int:
        """Its process; 0 before it is open."""
        return self._process.pid if self._process else 0

    def open(self) -> None:
        if not self._fresh:
            self._start()

    def run(self, work: Mapping[str, Any]) -> Reading:
        if self._fresh:
            self._start()
        assert self._process is not None
        others = Others(self._process.pid)
        self._signal(signal.SIGCONT)
        try:
            answer = self._exchange({"work": work})
        finally:
            self._signal(signal.SIGSTOP)
        share = others.share()
        if self._fresh:
            self.close()
        detail = {**(answer.get("detail") or {}), "others": None if share is None else round(share, 3)}
        return Reading(float(answer["value"]), float(answer["seconds"]), detail)

    def close(self) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._signal(signal.SIGKILL)  # what it started and left behind: same group
        self._process = None
        self._log.close()

    def _start(self) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", prefix="bench-", suffix=".log")  # noqa: SIM115 - closed with the worker
        python = str(self._python()) if self._python else sys.executable
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(_paths(python, self._tree))}
        self._process = subprocess.Popen(
            [python, str(self._tree / "bench" / self._script), json.dumps(self._settings())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
            env=env,
        )
        _carry_priority(self._process.pid)
        if not self._read().get("ready"):
            raise RuntimeError(f"{self.name} did not say that it is ready.\n{self._tail()}")
        self._signal(signal.SIGSTOP)

    def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended.\n{self._tail()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise RuntimeError(f"{self.name}: {found['error']}\n{self._tail()}")
        return found

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _tail(self) -> str:
        self._log.seek(0)
        return "".join(self._log.readlines()[-30:])


def _carry_priority(pid: int) -> None:
    """A new session is a scheduling group of its own on Linux, and ``nice`` of ours says nothing beside other groups:
    give the group what we were given."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.nice(0)))


def _paths(python: str, tree: Path) -> Sequence[str]:
    """A peer sees this folder's parent alone (for ``bench.serve``); ours sees instar's source too."""
    own = [str(tree / "src")] if python == sys.executable else []
    return [str(tree), *own]


def ticks_of(pid: int) -> int:
    """Clock ticks (user and system) of a process and of its ended children so far; 0 where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))
