"""The command line from a process that has imported it already: two seconds less of processor time for each of some
hundred commands that the tests give.

The process forks itself for each command; the fork gets its arguments, folder and environment, and ends as a command
does. Its checking processes come from one fork server for all commands, so their environment is that of the tests.
What another process kills, or what is to differ in its hash seed, is still started anew (``start`` in ``scripted``).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NoReturn

from instar.acquire.feedback.pool import PRELOADED

_OWN = ("PYTEST_CURRENT_TEST",)


class Warm:
    """One such process. A command at a time: whoever asks meanwhile waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.recipes.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        atexit.register(self._process.kill)

    def __call__(
        self, args: Sequence[str], cwd: Path, env: Mapping[str, str], seconds: float, dies_at: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Like ``subprocess.run`` of the command line, with both outputs captured as text. ``dies_at``: it kills itself
        once its ledger holds so many solutions (``tests.recipes.dying``)."""
        assert self._process.stdin is not None
        with self._lock, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            places = [f"/proc/{os.getpid()}/fd/{f.fileno()}" for f in (out, err)]
            asked = {"args": [*args], "cwd": str(cwd), "env": dict(env), "places": places, "dies_at": dies_at}
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            pid = int(self._line(60))
            try:
                code = int(self._line(seconds))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._line(60)
                raise
            texts = [_text(f) for f in (out, err)]
        return subprocess.CompletedProcess([*args], code, *texts)

    def _line(self, seconds: float) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"no answer within {seconds:g} seconds")
        return self._process.stdout.readline()


@cache
def warm(owner: int) -> Warm:
    """The process that serves this one (``os.getpid()``)."""
    return Warm()


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode())


def _serve() -> None:
    import instar.acquire.feedback.preloaded
    import instar.app.sessions.session
    import instar.cli.main
    import instar.cli.run  # noqa: F401 - what most commands need

    forkserver.set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _share_the_fork_server()
            _become(asked)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _share_the_fork_server() -> None:
    """In the fork: the fork server is no child of this process, which cannot wait for it. Where it is gone, a new one
    is started."""
    server = forkserver._forkserver  # type: ignore[attr-defined]  # not in typeshed
    anew = server.ensure_running

    def ensure_running() -> None:
        if server._forkserver_pid is not None:
            with contextlib.suppress(OSError, IndexError):
                stat = Path(f"/proc/{server._forkserver_pid}/stat").read_text()
                if stat.rpartition(") ")[2][0] != "Z":
                    return
        server._forkserver_pid = server._forkserver_address = None
        server.ensure_running = anew
        anew()

    server.ensure_running = ensure_running


def _become(asked: Mapping[str, Any]) -> NoReturn:
    """In the fork: the command, until its end."""
    code: Any = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        out, err = (os.open(place, os.O_RDWR) for place in asked["places"])
        for descriptor, number in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update({k: v for k, v in asked["env"].items() if k not in _OWN})
        tempfile.tempdir = None
        sys.argv = ["instar", *asked["args"]]
        from instar.cli.main import main

        if asked["dies_at"] is not None:
            from tests.recipes.dying import kill_at

            kill_at(asked["dies_at"])
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter's end does first
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
