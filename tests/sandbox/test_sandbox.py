"""The sandbox as its users see it: what a program gets, what comes back, and when it refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from instar.errors import SandboxError
from instar.sandbox import Limits, Outcome, Sandbox, open_sandbox
from instar.sandbox import room as room_module
from instar.sandbox.keeper import tree
from tests.sandbox.hostile import KINDS


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return open_sandbox(request.param)


def run(sandbox: Sandbox, code: str, limits: Limits | None = None, stdin: bytes = b"", **files: str | bytes) -> Outcome:
    return asyncio.run(sandbox.run({"main.py": code, **files}, ["python", "main.py"], limits, stdin=stdin))


def test_a_program_sees_its_files_its_input_and_a_python_and_its_output_comes_back(sandbox: Sandbox) -> None:
    outcome = run(
        sandbox,
        "import sys, os, json, sqlite3\nprint(open('a/b.txt').read(), sys.stdin.read(), os.getcwd())\n"
        "print('to stderr', file=sys.stderr)\nopen('new', 'w').write('x')\nsys.exit(3)",
        stdin=b"hello",
        **{"a/b.txt": b"\xc3\xa4"},
    )
    assert (outcome.exit_code, outcome.limit_hit) == (3, None)
    assert outcome.stdout.decode() == "ä hello /box/work\n"
    assert outcome.stderr == b"to stderr\n"
    assert not outcome.ok


ORDINARY = {
    "an event loop": "import asyncio\nasync def f():\n    return 42\nprint(asyncio.run(f()))",
    "processes": "import multiprocessing as m\nwith m.Pool(2) as p: print(sum(p.map(abs, [-40, 2])))",
    "a shared value": "import multiprocessing as m\nv = m.Value('i', 42)\nprint(v.value)",
    "threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(3) as t: print(sum(t.map(abs, [-40, 2])))",
    "a connected pair": "import socket\na, b = socket.socketpair()\na.send(b'42')\nprint(b.recv(9).decode())",
    "a shell": "import subprocess\nprint(subprocess.check_output('echo 42 | cat', shell=True, text=True).strip())",
    "a mapped file": "import mmap\nf = open('x', 'w+b')\nf.write(b'42')\nf.flush()\n"
    "print(mmap.mmap(f.fileno(), 2)[:].decode())",
    "a database": "import sqlite3\nc = sqlite3.connect('x.db')\nprint(*c.execute('select 42').fetchone())",
    "a copied file": "import shutil\nopen('x', 'w').write('42')\nshutil.copy('x', 'y')\nprint(open('y').read())",
}


@pytest.mark.parametrize("code", ORDINARY.values(), ids=ORDINARY)
def test_what_ordinary_programs_use_of_the_kernel_is_there(sandbox: Sandbox, code: str) -> None:
    outcome = run(sandbox, code)
    assert (outcome.stdout, outcome.limit_hit) == (b"42\n", None), outcome


@pytest.mark.parametrize("code", ["import socket\nsocket.socket()", "import mmap\nmmap.mmap(-1, 4096)"])
def test_what_a_program_may_not_use_of_the_kernel_is_an_error_with_its_name(sandbox: Sandbox, code: str) -> None:
    outcome = run(sandbox, code)
    assert outcome.exit_code == 1
    assert b"PermissionError: [Errno 1] Operation not permitted" in outcome.stderr


def test_what_pipes_and_sockets_may_hold_counts_as_memory(sandbox: Sandbox) -> None:
    outcome = run(sandbox, "import os, time\nk = [os.pipe() for _ in range(25)]\ntime.sleep(0.3)")
    assert outcome.exit_code == 0
    assert outcome.memory > 25 * 2**16 + 4 * 2**20
    full = "import socket, time\nx = bytearray(2**22)\nk = [socket.socketpair() for _ in range(29)]\ntime.sleep(9)"
    assert run(sandbox, full, Limits(memory=16 * 2**20)).limit_hit == "memory"


def test_nothing_of_one_run_is_there_in_the_next(sandbox: Sandbox) -> None:
    look = "import os\nfor d in ('.', '/tmp', '/dev/shm'): print(os.listdir(d)); open(d + '/left', 'w').close()"
    assert run(sandbox, look).stdout == run(sandbox, look).stdout == b"['main.py']\n[]\n[]\n"


def test_a_signal_is_an_exit_code_above_128_and_an_unknown_program_127(sandbox: Sandbox) -> None:
    assert run(sandbox, "import os; os.kill(os.getpid(), 11)").exit_code == 139
    unknown = asyncio.run(sandbox.run({}, ["no-such-program"]))
    assert (unknown.exit_code, unknown.limit_hit) == (127, None)


@pytest.mark.parametrize(
    ("hit", "code"),
    [
        ("wall", "import time; time.sleep(60)"),
        ("cpu", "import os\nos.fork(); os.fork()\nwhile True: pass"),
        ("memory", "import os\nfor _ in range(6):\n  if not os.fork(): x = b'x' * 2**25; import time; time.sleep(9)\n"
         "import time; time.sleep(9)"),
        ("output", "while True: print('x' * 9999)"),
        ("processes", "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"),
    ],
)  # fmt: skip
def test_the_limit_that_ended_a_program_is_named_and_it_has_no_exit_code(sandbox: Sandbox, hit: str, code: str) -> None:
    limits = Limits(
        seconds=1.5 if hit == "wall" else 30, cpu_seconds=1, memory=128 * 2**20, processes=16, output=10_000
    )
    outcome = run(sandbox, code, limits)
    assert (outcome.limit_hit, outcome.exit_code) == (hit, None), outcome
    assert len(outcome.stdout) <= 10_000


def test_a_full_disk_is_named_and_ends_nothing(sandbox: Sandbox) -> None:
    code = "try: open('x', 'wb').write(b'x' * 2**22)\nexcept OSError as e: print(e)\nimport time; time.sleep(0.2)"
    outcome = run(sandbox, code, Limits(disk=2**20))
    assert (outcome.limit_hit, outcome.exit_code) == ("disk", 0)
    assert b"No space left" in outcome.stdout


def test_programs_beside_each_other_do_not_see_each_other(sandbox: Sandbox) -> None:
    code = (
        "import os, time\nopen('/tmp/mine', 'x').close(); time.sleep(0.3)\n"
        "print(sorted(p for p in os.listdir('/proc') if p.isdigit()))"
    )

    async def several() -> list[Outcome]:
        return await asyncio.gather(*(sandbox.run({"m.py": code}, ["python", "m.py"]) for _ in range(6)))

    assert {o.stdout for o in asyncio.run(several())} == {b"['1', '2']\n"}


def test_a_cancelled_run_takes_its_program_with_it(sandbox: Sandbox) -> None:
    before = tree(os.getpid())  # what earlier tests of this process keep at hand

    async def cancelled() -> None:
        task = asyncio.create_task(
            sandbox.run({"m.py": "import time; time.sleep(60)"}, ["python", "m.py"], Limits(seconds=60))
        )
        while len(tree(os.getpid())) < len(before) + 3:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert set(tree(os.getpid())) <= set(before)


def test_a_killed_host_leaves_no_program_behind(sandbox: Sandbox) -> None:
    script = (
        "import asyncio; from instar.sandbox import *\n"
        f"run = open_sandbox({sandbox.protection.kind!r}).run\n"
        "asyncio.run(run({'m.py': 'import time; time.sleep(61)'}, ['python', 'm.py'], Limits(seconds=60)))"
    )
    host = subprocess.Popen([sys.executable, "-c", script])
    below: list[int] = []
    limit = time.monotonic() + 30
    while len(below) < 5 and time.monotonic() < limit:
        time.sleep(0.02)
        below = tree(host.pid)
    host.kill()
    host.wait()
    while any(os.path.exists(f"/proc/{p}") for p in below[1:]) and time.monotonic() < limit:
        time.sleep(0.02)
    assert len(below) >= 5
    assert not any(os.path.exists(f"/proc/{p}") for p in below[1:])


def test_a_run_may_be_asked_for_from_any_loop_and_any_thread(sandbox: Sandbox) -> None:
    found: list[Outcome] = []
    threads = [threading.Thread(target=lambda: found.append(run(sandbox, "print(1)"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [o.stdout for o in found] == [b"1\n"] * 3


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a\0b", "x" * 2000])
def test_a_path_that_leads_out_of_the_folder_is_refused(sandbox: Sandbox, path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        asyncio.run(sandbox.run({path: "x"}, ["python"]))


def test_an_empty_command_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="command"):
        asyncio.run(sandbox.run({}, []))


def test_it_says_what_protection_it_has(sandbox: Sandbox) -> None:
    assert sandbox.protection.missing == ()
    assert sandbox.protection.kind in str(sandbox.protection)
    assert "system call filter" in str(sandbox.protection)


def test_less_than_full_protection_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module.seccomp, "program", lambda: b"")
    opened = room_module.open_sandbox.__wrapped__
    with pytest.raises(SandboxError, match="lacks a system call filter"):
        opened("namespaces")
    weaker = opened("namespaces", allow_weaker=True)
    assert "lacks" in str(weaker.protection)
    assert run(weaker, "print(1)").stdout == b"1\n"


def test_a_machine_without_walls_is_refused_with_each_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(kind: str) -> str:
        return f"no {kind} today"

    monkeypatch.setattr(room_module, "_tried", none)
    with pytest.raises(SandboxError, match=r"bubblewrap: no bubblewrap today; namespaces: no namespaces today"):
        room_module.open_sandbox.__wrapped__("auto", allow_weaker=True)


def test_walls_that_cannot_be_set_up_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = open_sandbox("namespaces")
    whole = room_module.spec_of

    def broken(*args: Any) -> dict[str, Any]:
        return {**whole(*args), "binds": [["/no/such/folder", "/usr"]]}

    monkeypatch.setattr(room_module, "spec_of", broken)
    with pytest.raises(SandboxError, match="could not be set up"):
        run(sandbox, "print(1)")
