"""``python -m bench.kills``: self_debug on the scripted model, killed over and over; its ledger must not show it.

    python -m bench.kills --folder /tmp/kills                 25 kills of the run, then 30 of single processes below it
    python -m bench.kills --folder /tmp/kills --whole 5 --single 10

The folder holds what is done; the same command goes on with it. First an undisturbed run is made, then "whole": the run
itself is killed by SIGKILL at random instants and resumed; then "single": while it runs, single processes that it has
started (testers, programs, keepers, checkers, the fork server) are. At the end the ledgers' contents are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from instar.sandbox.offspring import tree

SMALL = (
    "model=scripted", "rounds=1", "learn=true", "sizes.train=12", "sizes.gate=10", "sizes.sealed=10", "train.epochs=1",
    "engine_options.latency=0.002",
)  # fmt: skip


def main() -> int:
    """Do what is left to do. The exit code is 0 when every ledger holds the same."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it has one
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--whole", type=int, default=25)
    parser.add_argument("--single", type=int, default=30)
    given = parser.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"undisturbed": undisturbed(folder)}
    print(f"undisturbed: {contents['undisturbed']}", flush=True)
    for name, kills, how in (("whole", given.whole, whole), ("single", given.single, single)):
        if kills:
            killed = how(folder, kills)
            contents[name] = content(folder, name)
            print(f"{name}: {contents[name]} after {sum(killed.values())} kills: {dict(killed)}", flush=True)
            print(f"  invalid verdicts: {invalid(folder, name)}; left running: {len(left(folder))}", flush=True)
    same = len(set(contents.values())) == 1
    print("the same ledger" if same else "NOT the same ledger")
    return 0 if same else 1


def undisturbed(folder: Path) -> str:
    """The content of the ledger when nothing is killed."""
    finish(folder, "undisturbed")
    return content(folder, "undisturbed")


def whole(folder: Path, kills: int) -> Counter[str]:
    """Kill the run itself so often, at random instants, and let it end."""
    done = tally(folder, "whole")
    luck = random.Random(f"whole {sum(done.values())}")
    while sum(done.values()) < kills:
        process = begin(folder, "whole")
        try:
            process.wait(luck.uniform(1.0, 4.0))
            break  # it ended first
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done["the run"] += 1
            note(folder, "whole", done)
    finish(folder, "whole")
    return done


def single(folder: Path, kills: int) -> Counter[str]:
    """Kill so many single processes below the run, at random instants. One that fails for it is resumed."""
    done = tally(folder, "single")
    luck = random.Random(f"single {sum(done.values())}")
    while sum(done.values()) < kills and not finished(folder, "single"):
        process = begin(folder, "single")
        while process.poll() is None and sum(done.values()) < kills:
            time.sleep(luck.uniform(0.05, 0.6))
            below = tree(process.pid)[1:]
            if below and process.poll() is None:
                pid = luck.choice(below)
                what = name_of(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                done[what] += 1
                note(folder, "single", done)
        process.wait()
    finish(folder, "single")
    return done


def name_of(pid: int) -> str:
    """What a process below a run is, in a word."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            words = file.read().replace("\0", " ")
    except OSError:
        return "gone"
    for mark, name in (
        ("tester.py", "in the tests"), ("sandbox.keeper", "keeper or walls"), ("bwrap", "walls"), ("seal.py", "walls"),
        ("resource_tracker", "resource tracker"), ("forkserver", "fork server or checker"),
    ):  # fmt: skip
        if mark in words:
            return name
    return f"other ({words[:40].strip()})"


def begin(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start the run, or resume it."""
    words = (
        ["resume", name] if (folder / "runs" / name / "ledger.db").exists() else ["run", "self_debug", "--name", name]
    )
    if words[0] == "run":
        words += [w for s in (*SMALL, f'tasks={{op="code_jsonl", path="{tasks(folder)}"}}') for w in ("--set", s)]
    with open(folder / f"{name}.err", "ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "instar.cli", *words, "--quiet"], stdout=subprocess.DEVNULL, stderr=errors,
            cwd=folder, env=environment(folder),
        )  # fmt: skip


def finish(folder: Path, name: str) -> None:
    """Let the run end; a few tries, for one that was refused too many answers is resumed."""
    for _ in range(5):
        if finished(folder, name):
            return
        begin(folder, name).wait()
    raise SystemExit(f"{name} does not end: {(folder / f'{name}.err').read_text()[-500:]}")


def finished(folder: Path, name: str) -> bool:
    """Whether the run has its result."""
    if not (folder / "runs" / name / "ledger.db").exists():
        return False
    return bool(said(folder, "show", name).get("status") == "finished")


def content(folder: Path, name: str) -> str:
    """The content digest of its ledger, which must verify."""
    found = said(folder, "verify", name)
    if found["wrong"]:
        raise SystemExit(f"{name}: {found['wrong'][:3]}")
    return str(found["content"])


def invalid(folder: Path, name: str) -> int:
    """How many verdicts in its ledger are invalid."""
    from instar.records import Feedback, Mark
    from instar.store.ledger import Ledger

    ledger = Ledger.read(folder / "runs" / name / "ledger.db")
    try:
        return sum(isinstance(r, Feedback) and r.mark is Mark.invalid for r in ledger.records("feedback"))
    finally:
        ledger.close()


def left(folder: Path) -> list[int]:
    """Processes that still have the folder for their INSTAR_RUNS."""
    mark = f"INSTAR_RUNS={folder}/runs".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found += [int(pid)] if mark in file.read().split(b"\0") else []
        except OSError:
            continue
    return found


def said(folder: Path, *words: str) -> dict[str, object]:
    """What a command of ours says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", *words, "--json"], capture_output=True, text=True, env=environment(folder)
    )
    return dict(json.loads(done.stdout or "{}"))


def environment(folder: Path) -> dict[str, str]:
    """Runs and home of their own."""
    return {**os.environ, "INSTAR_RUNS": str(folder / "runs"), "INSTAR_HOME": str(folder / "home")}


def tasks(folder: Path) -> Path:
    """Programs to write that the scripted model can learn."""
    path = folder / "code.jsonl"
    rows = [
        {
            "question": f"Write a Python function f() that returns {a} + {b}.",
            "answer": f"def f(): return {a + b}",
            "tests": {"visible": [f"assert f() == {a + b}"], "hidden": [f"assert f() + 1 == {a + b + 1}"]},
            "names": ["f"],
        }
        for a in range(10, 22)
        for b in range(30, 42)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def tally(folder: Path, name: str) -> Counter[str]:
    """What was killed so far."""
    path = folder / f"{name}.json"
    return Counter(json.loads(path.read_text())) if path.exists() else Counter()


def note(folder: Path, name: str, done: Counter[str]) -> None:
    """Keep what was killed."""
    (folder / f"{name}.json").write_text(json.dumps(done))


if __name__ == "__main__":
    sys.exit(main())
