"""The command line in this process, on a folder of its own: what it says, how it ends, and that it left nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from instar.cli.main import main

SMALL = (
    "model=scripted", "rounds=2", "sizes.train=20", "sizes.gate=60", "sizes.sealed=30",
)  # fmt: skip


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Flight:
    """``instar run`` in a folder of its own."""

    def __init__(self, folder: Path, call: Callable[[list[str]], Said]) -> None:
        self.folder, self.runs, self._call = folder, folder / "runs", call

    def __call__(self, target: str, *sets: str, more: Iterable[str] = (), common: Iterable[str] = SMALL) -> Said:
        return self._call(["run", target, "--quiet", *more, *(o for s in (*common, *sets) for o in ("--set", s))])

    def refused(
        self, target: str, *sets: str, code: int, more: Iterable[str] = (), common: Iterable[str] = SMALL
    ) -> str:
        """The sentence that a dry run and the run itself both end with, before anything is made."""
        dry = self(target, *sets, more=[*more, "--dry-run"], common=common)
        assert "Traceback" not in dry.err
        assert dry.code == code, (dry.code, dry.err, dry.out)
        real = self(target, *sets, more=more, common=common)
        assert (real.code, real.err) == (dry.code, dry.err)
        assert self.left() == [], "a run's folder was made, so a token may have been spent"
        return dry.err

    def left(self) -> list[str]:
        """What stands in the folder of runs."""
        return sorted(p.name for p in self.runs.glob("*"))

    def rows(self, name: str, n: int, start: int = 0, **more: object) -> str:
        """A file of sums, all with these further columns."""
        lines = [{"question": f"What is {i} + {i}?", "answer": str(2 * i), **more} for i in range(start, start + n)]
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in lines))
        return str(self.folder / name)


def flight_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flight:
    """Everything that a command writes goes below this folder."""
    monkeypatch.setenv("INSTAR_RUNS", str(folder / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)

    def call(args: list[str]) -> Said:
        monkeypatch.setattr(sys, "argv", ["instar", *args])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as e:
            code = int(e.code or 0)
        return Said(code, *capsys.readouterr())

    return Flight(folder, call)
