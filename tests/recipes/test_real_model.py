"""The real model: the demo's gain, its suites before and after, though it is killed three times."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar.app.storage.paths import home
from instar.store.ledger import Ledger
from tests.recipes.scripted import content

pytestmark = pytest.mark.slow


def environment(runs: Path) -> dict[str, str]:
    # the embedded model is converted once for all tests: the real INSTAR_HOME, not one a test
    return {**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(home())}


def begin(runs: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "instar.cli", *args], cwd=runs.parent, env=environment(runs), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen[str], seconds: float = 900) -> str:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out + err


def show(runs: Path, name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", "show", name, "--json"], capture_output=True, text=True,
        env=environment(runs), cwd=runs.parent, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def query(runs: Path, name: str, sql: str) -> list[tuple[Any, ...]]:
    try:
        with sqlite3.connect(f"file:{runs / name / 'ledger.db'}?mode=ro", uri=True) as raw:
            return raw.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []


def kill_when(process: subprocess.Popen[str], happens: Callable[[], bool], seconds: float = 600) -> None:
    limit = time.monotonic() + seconds
    while not happens():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit, "the moment to kill never came"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


EASIER = (
    "rounds=1", "sizes.train=44", "sizes.gate=50", "sizes.sealed=50", "control=false", "train.checkpoint_steps=2",
    "solve.samples=14",
    "tasks.families={chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=1}}",
)  # fmt: skip
"""Sums of one digit, on which little data teaches much: three minutes where a processor has no AVX-512. After a kill
some answers are sampled beside others, and differ: of eight samples 34 rows were left once, too few to learn from."""
SUITES = (
    "suites.guard:sums.tasks.op=reasoning_gym", "suites.guard:sums.tasks.families.chain_sum={min_terms=2,max_terms=2}",
    "suites.guard:sums.size=10", "suites.attack:gcd.tasks.op=reasoning_gym", "suites.attack:gcd.tasks.families.gcd={}",
    "suites.attack:gcd.size=8",
)  # fmt: skip


def test_a_round_of_the_demo_killed_in_generation_in_training_and_in_the_exam_gains_on_sealed_tasks(
    tmp_path: Path,
) -> None:
    """On easier sums. Its own ones, two rounds with the control, are in ``make test-nightly``: 20 minutes."""
    runs = tmp_path / "runs"
    options = [o for s in (*EASIER, *SUITES) for o in ("--set", s)]
    kept: dict[str, set[tuple[Any, ...]]] = {}

    def asked(step: str) -> int:
        rows = query(
            runs, "demo", f"select count(*) from journal j join steps s on s.key = j.step where s.verb = '{step}'"
        )
        return int(rows[0][0]) if rows else 0

    def journal() -> set[tuple[Any, ...]]:
        return set(query(runs, "demo", "select key, replies, at from journal"))

    moments: dict[str, Callable[[], bool]] = {
        "generation": lambda: 0 < asked("solve") < 44,
        "training": lambda: bool(list((runs / "demo" / "scratch").glob("*/checkpoint*/*"))),
        "exam": lambda: asked("exam") > 0,
    }
    process = begin(runs, "run", "demo", "--name", "demo", "--quiet", *options)
    for moment, happens in moments.items():
        kill_when(process, happens)
        kept[moment] = journal()
        assert kept[moment], moment
        process = begin(runs, "resume", "demo", "--quiet")
    end(process)
    final = journal()
    for moment, rows in kept.items():
        assert rows <= final, f"finished calls were lost or asked again after the kill in {moment}"
    found = show(runs, "demo")
    assert found["status"] == "finished"
    _gained(found["sealed"])
    assert content(runs, "demo")  # which also verifies every id
    ledger = Ledger.read(runs / "demo" / "ledger.db")
    reached, sets = ledger.ancestors(found["final"]), ledger.sets()
    assert not reached & {t for n in ("gate", "sealed") for t in sets[n]}
    ledger.close()
    _examined_in_suites(runs, found)


def _gained(sealed: dict[str, Any]) -> None:
    print(json.dumps(sealed))
    assert sealed["n"] == 50
    assert sealed["gain"] >= 0.06
    assert sealed["low"] > 0
    assert sealed["final"] > sealed["best_constant"]


def _examined_in_suites(runs: Path, found: dict[str, Any]) -> None:
    """Base and result, both of them, in each suite."""
    assert [(x["name"], x["n"]) for x in found["suites"]] == [("guard:sums", 10), ("attack:gcd", 8)]
    policies = {found["base"], found["final"]}
    assert len(policies) == 2
    for name in ("guard:sums", "attack:gcd"):
        examined = query(
            runs, "demo", "select json_extract(body, '$.policy') from records where kind = 'report' and "
            f"json_extract(body, '$.exam.suite') = '{name}'",
        )  # fmt: skip
        assert {p for (p,) in examined} >= policies


@pytest.mark.nightly
def test_the_demo_gains_on_sealed_tasks_and_beats_its_control(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    end(begin(runs, "run", "demo", "--name", "demo", "--quiet"), 2400)
    found = show(runs, "demo")
    print(json.dumps({**found["sealed"], "seconds": found["seconds"], "evolution": found["evolution_seconds"]}))
    sealed, control = found["sealed"], found["sealed"]["controls"]["unverified"]
    assert sealed["n"] >= 300
    assert sealed["best_constant"] < 0.10
    assert sealed["gain"] >= 0.15
    assert sealed["low"] > 0
    assert sealed["final"] > sealed["best_constant"]
    assert control["evolved_minus_control"] > 0
    wall = found["seconds"]["wall"]
    kept_aside = ("generate", "train", "exam", "checkpoint", "save", "start", "close")
    bookkeeping = wall - sum(found["seconds"].get(p, 0.0) for p in kept_aside)
    assert bookkeeping <= 0.03 * wall
