"""Docker as walls, with a program that stands in for it: no daemon has ever run this. What is asked of Docker, what is
made of how a container ended, and when it is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from instar.errors import SandboxError
from instar.sandbox import Limits, Outcome, docker
from instar.sandbox import room as room_module
from instar.sandbox.pipes import framed

STAND_IN = """#!{python}
import json, os, signal, subprocess, sys
here, words = {here!r}, sys.argv[1:]
said = json.load(open(here + "/says.json"))
with open(here + "/asked.jsonl", "a") as log:
    log.write(json.dumps(words) + "\\n")
if words[0] in said:
    out, err, code = said[words[0]]
    sys.stdout.write(out), sys.stderr.write(err), sys.exit(code)
if words[0] == "run":
    at = words.index("IMAGE")
    os.mkdir(here + "/" + words[words.index("--name") + 1])
    os.chdir(here + "/" + words[words.index("--name") + 1])
    child = subprocess.Popen(["{python}", *words[at + 1:]], start_new_session=True)
    open("pid", "w").write(str(child.pid))
    code = child.wait()
    open("code", "w").write(str(code if code >= 0 else 128 - code))
    sys.exit(code if code >= 0 else 128 - code)
if words[0] == "inspect":
    print("exited", "false", open(here + "/" + words[-1] + "/code").read())
if words[0] == "kill":
    os.killpg(int(open(here + "/" + words[-1] + "/pid").read()), signal.SIGKILL)  # as the kernel ends a container's
"""


class StandIn:
    """A folder with a ``docker`` in it that keeps what it was asked, and runs "containers" as plain processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "docker"
        program.write_text(STAND_IN.format(python=sys.executable, here=str(folder)))
        program.chmod(0o755)
        self.says()

    def says(self, **answers: tuple[str, str, int]) -> None:
        """What it answers to a command, instead of what it would do: (stdout, stderr, exit code)."""
        (self.folder / "says.json").write_text(json.dumps(answers))

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return StandIn(tmp_path)


def opened(image: str | None = "IMAGE", *, allow_weaker: bool = True) -> room_module.Sandbox:
    return room_module.open_sandbox.__wrapped__("docker", allow_weaker=allow_weaker, image=image)


def run(code: str, limits: Limits | None = None, stdin: bytes = b"", **files: str) -> Outcome:
    return asyncio.run(opened().run({"main.py": code, **files}, ["python3", "main.py"], limits, stdin=stdin))


def test_every_wall_is_in_the_arguments(stand_in: StandIn) -> None:
    limits = Limits(seconds=7, cpu_seconds=2.5, memory=100 * 2**20, disk=2**20, processes=9, inodes=20, open_files=30)
    words = docker.argv("N", "IMAGE", ["python", "x.py"], limits)
    options, inside = words[: words.index("IMAGE")], words[words.index("IMAGE") + 1 :]
    pairs = set(pairwise(options))
    assert {
        ("--network", "none"), ("--ipc", "none"), ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"),
        ("--user", "65534:65534"), ("--pids-limit", "10"), ("--memory", str(101 * 2**20)),
        ("--memory-swap", str(101 * 2**20)), ("--cpus", "1"), ("--pull", "never"), ("--ulimit", "cpu=3:4"),
        ("--ulimit", "nofile=30"), ("--ulimit", "core=0"), ("--name", "N"), ("--workdir", "/box"),
        ("--tmpfs", "/box:rw,nosuid,nodev,noexec,size=1048576,nr_inodes=24,mode=1777"),
    } <= pairs  # fmt: skip
    assert "--read-only" in options
    assert not {"-v", "--volume", "--mount", "--privileged", "--cap-add", "--device", "--publish"} & set(options)
    assert json.loads(inside[-1]) == {"command": ["python", "x.py"], "seconds": 17.0}


def test_a_program_gets_its_files_and_its_input_and_its_output_and_exit_code_come_back(stand_in: StandIn) -> None:
    code = "import sys\nprint(open('a/b').read(), sys.stdin.read())\nprint('e', file=sys.stderr)\nsys.exit(3)"
    outcome = run(code, stdin=b"hello", **{"a/b": "ä"})
    assert (outcome.exit_code, outcome.limit_hit) == (3, None)
    assert (outcome.stdout.decode(), outcome.stderr) == ("ä hello\n", b"e\n")
    verbs = [words[0] for words in stand_in.asked()]
    assert verbs == ["version", "image", "run", "rm", "run", "inspect", "rm"]
    trial, first = (words for words in stand_in.asked() if words[0] == "run")
    removed = [words[-1] for words in stand_in.asked() if words[0] == "rm"]
    assert removed == [words[words.index("--name") + 1] for words in (trial, first)]


def test_an_unknown_program_a_signal_and_what_docker_says_of_memory_and_processor_time(stand_in: StandIn) -> None:
    assert asyncio.run(opened().run({}, ["no-such-program"])).exit_code == 127
    assert run("import os; os.kill(os.getpid(), 11)").exit_code == 139
    assert run("import os; os.kill(os.getpid(), 24)").limit_hit == "cpu"
    stand_in.says(inspect=("exited true 137", "", 0))
    killed = run("print(1)")
    assert (killed.exit_code, killed.limit_hit, killed.stdout) == (None, "memory", b"1\n")


@pytest.mark.parametrize(
    ("hit", "code"), [("wall", "import time; time.sleep(60)"), ("output", "while True: print('x' * 999)")]
)
def test_a_program_that_goes_on_is_killed_and_its_container_removed(stand_in: StandIn, hit: str, code: str) -> None:
    outcome = run(code, Limits(seconds=2 if hit == "wall" else 50, output=5_000))
    assert (outcome.exit_code, outcome.limit_hit) == (None, hit)
    assert len(outcome.stdout) <= 5_000
    assert [words[0] for words in stand_in.asked()][-4:] == ["run", "kill", "inspect", "rm"]


def test_a_container_that_was_not_started_ran_nothing_and_says_why(stand_in: StandIn) -> None:
    sandbox = opened()
    stand_in.says(run=("", "docker: no space left on device.", 125), inspect=("created false 125", "", 0))
    with pytest.raises(SandboxError, match=r"did not start the container.*no space left"):
        asyncio.run(sandbox.run({}, ["python3"]))


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"version": ("", "Cannot connect to the Docker daemon.", 1)}, "daemon does not answer (Cannot connect"),
        ({"image": ("", "No such image", 1)}, "the image IMAGE is not there (docker pull IMAGE)"),
        ({"run": ("", "python3: not found", 127)}, "a trial run failed (python3: not found)"),
    ],
)
def test_docker_that_does_not_work_is_refused_with_the_reason(
    stand_in: StandIn, answers: dict[str, tuple[str, str, int]], why: str
) -> None:
    stand_in.says(**answers)
    with pytest.raises(SandboxError) as refused:
        opened()
    assert refused.value.message.startswith("docker cannot be used here: ")
    assert why in refused.value.message


def test_docker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"^docker cannot be used here: it is not installed\. "):
        opened()


def test_what_it_lacks_is_said_and_must_be_allowed(stand_in: StandIn) -> None:
    with pytest.raises(SandboxError, match="lacks a limit on the processor time of all processes together"):
        opened(allow_weaker=False)
    assert "lacks: a limit on the processor time" in str(opened().protection)


def test_an_image_for_other_walls_is_refused() -> None:
    with pytest.raises(ValueError, match="an image is for kind='docker'"):
        room_module.open_sandbox.__wrapped__("auto", image="python")


def test_a_container_whose_starter_is_gone_ends_by_itself(tmp_path: Path) -> None:
    words = docker.argv("N", "IMAGE", [sys.executable, "-c", "import time; time.sleep(5)"], Limits())
    given = json.loads(words[-1]) | {"seconds": 0.3}
    inside = [*words[words.index("IMAGE") + 1 : -1], json.dumps(given)]
    # without an end of its own the exit code would be 0, after 5 s
    found = subprocess.run([sys.executable, *inside], input=framed({}), cwd=tmp_path, timeout=20)
    assert found.returncode == 137
