"""A run of a million records: what `instar verify` and a resume near its end take. Makes the run first; resumable.

    python bench/big_ledger.py /tmp/big                # about a million records: some minutes to make
    python bench/big_ledger.py /tmp/big --tasks 100    # a small one, to try the script

The run is real (ReST-EM on the scripted model) and is killed with SIGKILL in its sealed exam. Interrupted, the script
goes on where it was. Then, each in a process of its own: `instar verify`, seconds and peak memory; `instar resume`,
from the start of the process to the first model call that is asked anew.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 4
SAMPLES = 16
SEALED = 400


def main() -> None:
    """Make the run, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=int, default=3000, help="training tasks a round")
    parser.add_argument("--only", choices=("make", "verify", "resume"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ["INSTAR_RUNS"], os.environ["INSTAR_HOME"] = (str(given.folder / n) for n in ("runs", "home"))
    ledger = given.folder / "runs" / "big" / "ledger.db"
    if not at_the_end(ledger):
        make(ledger, given.tasks)
    found: dict[str, object] = {"bytes": ledger.stat().st_size, **counts(ledger)}
    if given.only in (None, "verify"):
        found["verify"] = verify()
    if given.only in (None, "resume"):
        found["resume"] = resume(ledger)
    print(json.dumps(found, indent=1))


def make(ledger: Path, tasks: int) -> None:
    """Start or go on with the run until its last sealed answers are being asked, and kill it there."""
    sets = ["model=scripted", f"rounds={ROUNDS}", f"sizes.train={tasks}", f"solve.samples={SAMPLES}",
            "sizes.gate=100", f"sizes.sealed={SEALED}", "train.epochs=1", "engine_options.latency=0.002",
            "tasks.families={chain_sum={min_terms=2, max_terms=3, min_digits=2, max_digits=3}}"]  # fmt: skip
    begun = ledger.exists()
    command = (
        ["resume", "big"] if begun else ["run", "rest_em", "--name", "big", *(o for s in sets for o in ("--set", s))]
    )
    process = subprocess.Popen([sys.executable, "-m", "instar.cli", *command], stdout=subprocess.DEVNULL)
    while process.poll() is None and not at_the_end(ledger):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not at_the_end(ledger):
        sys.exit(f"the run ended with {process.returncode} before it could be killed in its sealed exam")


def at_the_end(ledger: Path) -> bool:
    """Whether the newest step is a sealed exam that has some of its answers and not all."""
    if not ledger.exists():
        return False
    sql = """select s.verb, s.finished, s.items, count(c.key) from steps s left join calls c on c.step = s.key
             where s.seq = (select max(seq) from steps) group by s.key"""
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            row = db.execute(sql).fetchone()
    except sqlite3.OperationalError:
        return False
    return row is not None and row[0] == "exam" and not row[1] and row[2] == SEALED and 0 < row[3] < SEALED


def counts(ledger: Path) -> dict[str, int]:
    """Rows of the big tables."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
        tables = ("records", "edges", "calls", "journal")
        return {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in tables}


def verify() -> dict[str, object]:
    """`instar verify` in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", "verify", "big", "--json"], capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(done.stdout) if done.stdout else {"wrong": [done.stderr]}
    return {
        "wrong": said["wrong"], "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mb": after.ru_maxrss // 1024,
    }  # fmt: skip


_FIRST_ASK = """
import os, resource, sys, time
from instar.run import asking
async def first(*_, **__):
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, flush=True)
    os._exit(0)
asking.BoundModel._ask_with_retries = first
sys.argv = ["instar", "resume", "big", "--quiet"]
from instar.cli.main import main
main()
"""


def resume(ledger: Path) -> dict[str, object]:
    """`instar resume`, ended at the first ask that the journal does not answer. On a copy: a resume writes."""
    with sqlite3.connect(ledger) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    kept = ledger.with_name("kept.db")
    shutil.copyfile(ledger, kept)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _FIRST_ASK], capture_output=True, text=True)
    seconds = time.monotonic() - began
    for end in ("", "-wal", "-shm"):
        Path(f"{ledger}{end}").unlink(missing_ok=True)
    kept.rename(ledger)
    if done.returncode:
        sys.exit(done.stderr)
    cpu, peak = done.stdout.split()
    return {"seconds": round(seconds, 1), "cpu_seconds": round(float(cpu), 1), "peak_mb": int(peak)}


if __name__ == "__main__":
    main()
