"""Hostile programs: each is contained, the host keeps what it has, nobody knocks on its doors, and nothing is left."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from instar.sandbox import Limits, Sandbox, open_sandbox
from tests.sandbox.hostile import KINDS, PROGRAMS, Hostile

LIMITS = Limits(seconds=3, memory=192 * 2**20, processes=24, disk=16 * 2**20, inodes=1000, file=8 * 2**20, output=2**18)


@dataclass
class Host:
    """What a program could be after out here."""

    folder: Path
    words: dict[str, str]
    listeners: list[socket.socket]
    bystander: subprocess.Popen[bytes]

    def state(self) -> str:
        """A digest of everything under the folder."""
        found = sorted((str(p), p.read_bytes() if p.is_file() else b"") for p in self.folder.rglob("*"))
        return hashlib.sha256(repr(found).encode()).hexdigest()

    def knocked(self) -> int:
        return len(select.select(self.listeners, [], [], 0)[0])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text("swordfish")
    os.environ["INSTAR_SECRET"] = "swordfish"
    tcp = socket.create_server(("0.0.0.0", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", tcp.getsockname()[1]))
    abstract, path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"instar-hostile-{os.getpid()}"
    abstract.bind(f"\0{name}")
    here = os.open(folder, os.O_RDONLY)
    path.bind(f"/proc/self/fd/{here}/socket")  # a socket's path may be 107 bytes long
    for listener in (abstract, path):
        listener.listen()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as bystander:
        try:
            address = socket.gethostbyname(socket.gethostname())
        except OSError:
            address = "127.0.0.1"
        words = {
            "secret": str(folder / "secret"), "folder": str(folder), "port": str(tcp.getsockname()[1]),
            "address": address, "socket": name, "pid": str(bystander.pid),
        }  # fmt: skip
        yield Host(folder, words, [tcp, udp, abstract, path], bystander)
        bystander.kill()
    del os.environ["INSTAR_SECRET"]
    for listener in (tcp, udp, abstract, path):
        listener.close()
    os.close(here)


@pytest.fixture(scope="module", params=KINDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return open_sandbox(request.param)


def filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{" + word + "}", value)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=[p.name for p in PROGRAMS])
def test_a_hostile_program_is_contained(sandbox: Sandbox, host: Host, program: Hostile) -> None:
    before, mine = host.state(), children()
    outcome = asyncio.run(
        sandbox.run(
            {"main.py": filled(program.code, host.words)}, [filled(c, host.words) for c in program.command], LIMITS
        )
    )
    assert b"ESCAPED" not in outcome.stdout, outcome
    assert b"swordfish" not in outcome.stdout + outcome.stderr
    if program.hit != "any":
        assert outcome.limit_hit in (program.hit.split(" or ") if program.hit else (None,)), outcome
    assert outcome.seconds < LIMITS.seconds + 2
    assert len(outcome.stdout) <= LIMITS.output
    assert len(outcome.stderr) <= LIMITS.output
    assert outcome.memory < 2 * LIMITS.memory
    assert host.state() == before
    assert host.knocked() == 0
    assert host.bystander.poll() is None
    assert children() == mine, "something is left of it"
    began = time.monotonic()
    assert (
        subprocess.run([sys.executable, "-I", "-S", "-c", "print(1)"], capture_output=True, check=True).stdout == b"1\n"
    )
    assert time.monotonic() - began < 5, "the host does not answer any more"


def test_the_programs_do_reach_their_goal_where_nothing_holds_them(host: Host, tmp_path: Path) -> None:
    """Or they would show nothing: a sample of them, run with no sandbox at all."""
    for name in (
        "reads_home",
        "symlink_out",
        "connects_to_the_host",
        "abstract_socket",
        "path_socket",
        "reads_environment",
        "memory_in_socket_pairs",
        "memory_by_shared_maps_let_go",
    ):
        program = next(p for p in PROGRAMS if p.name == name)
        (tmp_path / "main.py").write_text(filled(program.code, host.words))
        (tmp_path / "link").unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, timeout=30)
        assert b"ESCAPED" in done.stdout, (name, done)
    for listener in host.listeners:  # they knocked: open the doors and let them go
        while select.select([listener], [], [], 0)[0]:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()


def children() -> list[str]:
    """The processes below this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(stat.parent.name)
    return sorted(found)
