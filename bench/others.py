"""How much of the machine others took while a side had its turn. Linux; elsewhere not known (None).

A loaded machine does not slow all sides alike: threads that wait for each other in a spin (llama.cpp, OpenMP) lose far
more than those that sleep, so a ratio measured beside other work is not a ratio.
"""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


class Others:
    """Counts from its making. ``share``: the part of all CPU time since then that was neither idle nor the group's."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._busy, self._total = _machine()
        self._own = _of_group(group)

    def share(self) -> float | None:
        busy, total = _machine()
        if total <= self._total:
            return None
        # processes of the group that have ended meanwhile are not in its sum: never below zero
        return max(0.0, (busy - self._busy - (_of_group(self._group) - self._own)) / (total - self._total))


def _machine() -> tuple[int, int]:
    """Clock ticks of all cores so far: not idle (time stolen by the host included), and all."""
    try:
        fields = [int(x) for x in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return sum(fields) - fields[3] - fields[4], sum(fields)


def _of_group(group: int) -> int:
    """Clock ticks of all living processes of a process group, with those of their ended children, and our own."""
    ticks = 0
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group or path.parent.name == str(os.getpid()):
            ticks += sum(map(int, fields[11:15]))
    return ticks
