"""How many programs a minute the sandbox runs, with each kind of walls: `python bench/sandbox.py [RUNS]`."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from instar.acquire.feedback.execution import run_tests
from instar.sandbox import open_sandbox
from instar.sandbox.bubblewrap import found
from instar.sandbox.room import Kind

PROGRAM = "def f(x):\n    return x + 7\n"
TESTS = [f"assert f({n}) == {n + 7}" for n in range(8)]


async def measure(kind: Kind, runs: int) -> None:
    """Print two rates: bare programs, and programs judged by eight tests."""
    sandbox = open_sandbox(kind)
    files = {"main.py": "print(sum(range(10)))"}
    began = time.monotonic()
    said = await asyncio.gather(*(sandbox.run(files, ["python", "main.py"]) for _ in range(runs)))
    assert all(o.stdout == b"45\n" for o in said)
    bare = 60 * runs / (time.monotonic() - began)
    began = time.monotonic()
    judged = await asyncio.gather(*(run_tests(PROGRAM, TESTS, {"names": ["f"]}, kind=kind) for _ in range(runs)))
    assert all(not any(why) for why, _ in judged)
    rate = 60 * runs / (time.monotonic() - began)
    print(f"{kind}: {bare:,.0f} programs a minute; {rate:,.0f} a minute judged by {len(TESTS)} tests each", flush=True)


if __name__ == "__main__":
    print(f"{len(os.sched_getaffinity(0))} processors")
    for one in ("bubblewrap", "namespaces"):
        if one != "bubblewrap" or found():
            asyncio.run(measure(one, int(sys.argv[1]) if len(sys.argv) > 1 else 200))  # type: ignore[arg-type]  # one of KINDS
