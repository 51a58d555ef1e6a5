"""Processes that can be killed, for code that may raise, hang, crash or eat memory: checkers on untrusted answers.

Workers come from a *fork server*: a small process without threads, engines or weights. A fork of the run itself would
copy its threads' locks; a spawn would import everything again after each kill. They do not import the main program,
so a script without ``if __name__ == "__main__"`` does not run twice. They die with the run, hanging or not: each holds
a pipe whose other end only the run has, and has asked the kernel for a deadly signal when that end closes.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import io
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import ForkServerContext, ForkServerProcess, set_spawning_popen
from multiprocessing.process import BaseProcess
from typing import Any

PRELOADED = ("reasoning_gym", "math_verify", "instar.acquire.feedback.checkers", "instar.acquire.tasks.reasoning_gym")
"""Imported once in the fork server, so that the worker that follows a killed one starts in milliseconds."""
MEMORY = 4 * 2**30
"""Bytes of address space a worker may use beyond which it gets a MemoryError."""


@dataclass(frozen=True)
class Done:
    """The job returned this."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The job did not return; the reason, in words."""

    reason: str


class Pool:
    """At most ``workers`` processes, started when first needed. ``run`` may be called from any event loop."""

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._starting: Future[Any] | None = None

    def warm(self) -> None:
        """Start the processes in the background (about a second); returns at once."""
        self._started()

    async def run(self, function: Callable[..., Any], *args: Any, seconds: float) -> Done | Failed:
        """Run an importable function in a worker. What it does to its process is a reason, never an exception here.

        ``seconds`` counts from when a worker takes the job, not from when it was queued; then the worker is killed.
        """
        for _ in range(2):
            starting = self._started()
            try:
                pool = await asyncio.shield(asyncio.wrap_future(starting))
                job = pool.schedule(function, args=args, timeout=seconds)
            except (BrokenProcessPool, RuntimeError, OSError):  # it broke, or was closed, since it was started
                self._drop(starting)
                continue
            try:
                return Done(await asyncio.wrap_future(job))
            except BrokenProcessPool:
                self._drop(starting)  # an idle worker died and took the pool with it: start afresh, once
            except TimeoutError:
                return Failed(f"timed out after {seconds:g} s")
            except asyncio.CancelledError:
                raise
            except Exception as error:
                return Failed(_reason(error))
        return Failed("the checking processes could not be kept alive")

    def close(self) -> None:
        """Kill the workers. A later ``run`` starts new ones."""
        with self._lock:
            starting, self._starting = self._starting, None
        if starting is not None:
            _stop(starting)

    def _started(self) -> Future[Any]:
        with self._lock:
            if self._starting is None:
                self._starting = Future()
                threading.Thread(target=self._start, args=(self._starting,), name="instar-pool", daemon=True).start()
            return self._starting

    def _start(self, starting: Future[Any]) -> None:
        try:
            from pebble import ProcessPool

            context = _Context()
            context.set_forkserver_preload(list(PRELOADED))
            pool = ProcessPool(max_workers=self._workers, context=context, initializer=_prepare_worker)
            # all workers are up before the pool is handed out: one stopped while it boots prints a traceback
            up: set[int] = set()
            while len(up) < self._workers:
                up |= {job.result() for job in [pool.schedule(_ready, timeout=120) for _ in range(self._workers)]}
            starting.set_result(pool)
        except BaseException as error:
            starting.set_exception(OSError(f"the checking processes did not start: {error}"))

    def _drop(self, starting: Future[Any]) -> None:
        with self._lock:
            if self._starting is not starting:
                return
            self._starting = None
        threading.Thread(target=_stop, args=(starting,), daemon=True).start()


_shared: tuple[int, Pool] | None = None


def shared() -> Pool:
    """This process's pool: two workers for all verifiers, closed at exit."""
    global _shared
    if _shared is None or _shared[0] != os.getpid():
        _shared = (os.getpid(), Pool())
        atexit.register(_shared[1].close)
    return _shared[1]


def _stop(starting: Future[Any]) -> None:
    with contextlib.suppress(Exception):
        pool = starting.result(timeout=30)  # a boot under way is waited for, or its workers print tracebacks
        pool.stop()
        pool.join(timeout=5)


def _reason(error: BaseException) -> str:
    code = getattr(error, "exitcode", None)
    if isinstance(code, int):
        with contextlib.suppress(ValueError):
            return f"the checking process died ({signal.Signals(-code).name})"
        return f"the checking process died (exit code {code})"
    text = f"{type(error).__name__}: {error}"
    return f"the checking process failed ({text if len(text) <= 100 else text[:99] + '…'})"


def _ready() -> int:
    """Which worker is up; slow enough that one worker does not take every job."""
    time.sleep(0.02)
    return os.getpid()


def _prepare_worker() -> None:
    """In the worker: die with the run, stay within bounds, leave no core file and no noise."""
    import resource

    _die_with_the_run()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # a lower hard limit is set already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)


def _die_with_the_run() -> None:
    """SIGIO, whose default is death, when the run's end of our pipe closes.

    Not a watching thread: a hang inside C code, such as a bad regular expression, holds the GIL and would stop it. Not
    PR_SET_PDEATHSIG: our parent is the fork server, which lives as long as any of its children does.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    pipe = parent.sentinel
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if wait_for([pipe], timeout=0):  # it died before we asked
        os._exit(1)


class _Popen(popen_forkserver.Popen):
    """Starts a process as the standard library does, but without the instruction to import the main program."""

    def _launch(self, process_obj: BaseProcess) -> None:
        about = spawn.get_preparation_data(process_obj.name)
        for key in ("init_main_from_name", "init_main_from_path"):
            about.pop(key, None)
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(about, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        self.sentinel, writer = forkserver.connect_to_new_process(self._fds)  # type: ignore[attr-defined]  # not in typeshed
        parent = os.dup(writer)  # the worker sees our end through this one
        close = util.close_fds  # type: ignore[attr-defined]  # not in typeshed
        self.finalizer = util.Finalize(self, close, (parent, self.sentinel))
        with open(writer, "wb", closefd=True) as pipe:
            pipe.write(buffer.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


class _Process(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        return _Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Process
