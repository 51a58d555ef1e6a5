"""A program behind the walls that is talked to while it runs: what it sees, what it has not, and its end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from instar.sandbox import Limits, open_sandbox
from instar.sandbox.live import live, sees
from instar.sandbox.room import Kind

TALKS = """
import os, sys
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except OSError as e:
        print(type(e).__name__, flush=True)
"""
LIMITS = Limits(seconds=60)


async def told(kind: Kind, folder: Path, *lines: str) -> tuple[list[str], int | None]:
    """What it says to each line, and how it ended when it was left."""
    said: list[str] = []
    async with live(open_sandbox(kind), ["python", "-I", "-S", "-c", TALKS], LIMITS, sees(folder)) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for line in lines:
            running.stdin.write(f"{line}\n".encode())
            said.append((await running.stdout.readline()).decode().strip())
    return said, running.returncode


@pytest.mark.parametrize("kind", ["bubblewrap", "namespaces"])
def test_it_answers_while_it_runs_reads_what_was_named_and_is_gone_afterwards(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path.parent / "other.txt").write_text("other")
    tmp_path.chmod(0o755)
    mine, other = repr(str(tmp_path / "mine.txt")), repr(str(tmp_path.parent / "other.txt"))
    said, code = asyncio.run(
        told(kind, tmp_path, "1 + 1", f"open({mine}).read()", f"open({other})", f"open({mine}, 'w')",
             "__import__('socket').socket()", "'INSTAR_HOME' in os.environ", "os.listdir('.')")
    )  # fmt: skip
    assert said == ["2", "mine", "FileNotFoundError", "OSError", "PermissionError", "False", "[]"]
    assert code is not None


def test_what_lies_in_another_folder_that_is_seen_is_seen_once_and_the_root_never_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    seen = sees(tmp_path / "in", tmp_path, Path("/"), tmp_path)
    assert [b for b in seen.binds if b[0] == str(tmp_path)] == [[str(tmp_path)] * 2]
    assert not any(b[0] in ("/", str(tmp_path / "in")) for b in seen.binds)
    assert not any(link == "/tmp" for _, link in seen.links) or not str(tmp_path).startswith("/tmp" + os.sep)
