"""Asked to end, at any moment: it ends with its exit code, silent about what went on inside, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.sandbox.offspring import tree
from tests.recipes.scripted import SMALL

NOISE = ("Traceback", "never retrieved", "was destroyed", "never awaited", "leaked", "Warning", "Error")


def starting(pid: int) -> bool:
    return len(tree(pid)) > 1  # the checking processes


def in_the_sandbox(pid: int) -> bool:
    return any("tester.py" in words(p) for p in tree(pid)[1:])


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.parametrize("when", [starting, in_the_sandbox])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_ends_in_silence_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, when: Callable[[int], bool]
) -> None:
    rows = (
        {
            "question": f"What is {a} + 1?",
            "ability": "add",
            "answer": str(a + 1),
            "tests": {"hidden": ["time.sleep(3)"]},
        }
        for a in range(400)
    )
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps({**r, "setup": "import time"}) + "\n" for r in rows))
    sets = (*SMALL, 'tasks={op="code_jsonl", path="sums.jsonl"}', 'judge={op="execution", read="expression"}')
    command = [sys.executable, "-m", "instar.cli", "run", "rest_em", *(w for s in sets for w in ("--set", s))]
    environment = {**os.environ, "INSTAR_RUNS": str(tmp_path / "runs"), "INSTAR_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
        # what a shell starts with & ignores Ctrl-C, and so does all that it starts: also this test's run
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not when(process.pid) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        below = tree(process.pid)[1:]
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not [word for word in NOISE if word in said], said
    deadline = time.monotonic() + 10
    while (left := [p for p in below if words(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
