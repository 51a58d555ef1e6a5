"""What an untrusted program may use, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Hit = Literal["wall", "cpu", "memory", "processes", "output", "disk", "cancelled"]
"""Which limit a program ran into. ``disk`` is noticed and not punished: its writes fail. All others end it."""


class Limits(BaseModel):
    """What one run may use. Every number is for the whole run, all its processes together, unless it says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float = Field(default=5.0, gt=0, le=3600)
    """Of wall clock, counted from when the run was asked for and its turn came."""
    cpu_seconds: float | None = Field(default=None, gt=0)
    """Of processor time; None is twice the wall clock's."""
    memory: int = Field(default=256 * 2**20, ge=16 * 2**20)
    """Bytes of resident memory (shared pages counted once). The scratch folder is counted by ``disk``."""
    processes: int = Field(default=32, ge=1, le=4096)
    disk: int = Field(default=32 * 2**20, ge=2**16)
    """Bytes that all files together may hold; they lie in memory and are gone afterwards."""
    inodes: int = Field(default=2048, ge=16)
    """Files and folders together."""
    file: int = Field(default=16 * 2**20, ge=0)
    """Bytes that one file may hold."""
    open_files: int = Field(default=64, ge=8)
    """Descriptors a process may hold."""
    output: int = Field(default=2**20, ge=0)
    """Bytes of stdout, and as many of stderr. What is beyond is not kept and ends the run."""

    @property
    def cpu(self) -> float:
        """Seconds of processor time."""
        return self.cpu_seconds if self.cpu_seconds is not None else 2 * self.seconds


@dataclass(frozen=True)
class Outcome:
    """What became of a program. ``exit_code`` is 128 + the signal for one that a signal ended, None for one that a
    limit ended. ``stdout`` and ``stderr`` are untrusted."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    limit_hit: Hit | None
    seconds: float
    """Of wall clock, setting up included."""
    memory: int = 0
    """The most resident memory that was seen, in bytes. Seen every few milliseconds: a spike may be missed."""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.limit_hit is None

    def text(self, longest: int = 2000) -> str:
        """The end of stdout and stderr as text, for people and for prompts; still untrusted."""
        both = b"\n".join(part for part in (self.stdout.rstrip(), self.stderr.rstrip()) if part)
        text = both.decode("utf-8", "replace")
        return text if len(text) <= longest else "…" + text[-longest:]
