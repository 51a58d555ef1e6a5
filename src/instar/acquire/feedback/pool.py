"""Processes that can be killed, for code that may raise, hang, crash or eat memory: checkers on untrusted answers.

Workers come from a *fork server*: a small process without threads, engines or weights. A fork of the run itself would
copy its threads' locks; a spawn would import everything again after each kill. They do not import the main program,
so a script without ``if __name__ == "__main__"`` does not run twice.

Each worker is the child of a *keeper*, which holds a pipe whose other end only the run has. When the worker ends, by
itself, by its time limit or by the OOM killer, or when the run does, the keeper ends all that the worker's jobs have
started (``instar.sandbox.offspring``); what a job leaves behind when it returns, the worker ends. Threads are the
exception: one that a job leaves goes on in its worker, and ends with it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.context import ForkServerContext, ForkServerProcess, set_spawning_popen
from multiprocessing.process import BaseProcess
from typing import Any, cast

from instar.legible import said
from instar.sandbox.offspring import adopt, die_with_the_parent, end_all, keep
from instar.sandbox.seal import close_all_but

PRELOADED = (
    "instar.acquire.feedback.preloaded", "math_verify", "instar.acquire.feedback.checkers",
    "instar.acquire.tasks.reasoning_gym",
)  # fmt: skip
"""Imported once in the fork server, so that the worker that follows a killed one starts in milliseconds."""
MEMORY = 4 * 2**30
"""Bytes of address space a worker may use beyond which it gets a MemoryError."""
ENDED = 249
"""What a worker ends with that a job has ended itself, with the exit code 0."""
TRIES = 3
"""How often a job is begun whose process was killed from outside, by the OOM killer for example."""
_OUTSIDE = (-signal.SIGKILL, 255)  # 255: the fork server is gone, so that nobody knows


@dataclass(frozen=True)
class Done:
    """The job returned this."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The job did not return; the reason, in words."""

    reason: str


class _Raised(Exception):
    """What a job raised, in words. Its own exception stays in the worker: here it might stop the run (SystemExit,
    KeyboardInterrupt, CancelledError), pass for the pool's (TimeoutError), or end the thread that reads it."""


class Pool:
    """At most ``workers`` processes, started when first needed. ``run`` may be called from any event loop."""

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._starting: Future[Any] | None = None

    def warm(self) -> None:
        """Start the processes in the background (about a second); returns at once."""
        self._started()

    async def run(self, function: Callable[..., Any], *args: Any, seconds: float, tries: int = TRIES) -> Done | Failed:
        """Run an importable function in a worker. What it does to its process is a reason, never an exception here.

        ``seconds`` counts from when a worker takes the job, not from when it was queued; then the worker is killed.
        All processes that the job has started are gone by then, or when it returns. A job whose worker was killed from
        outside is begun again, ``tries`` times in all.
        """
        reason = "the checking processes could not be kept alive"
        for _ in range(tries):
            starting = self._started()
            try:
                pool = await asyncio.shield(asyncio.wrap_future(starting))
                job = pool.schedule(_alone, args=(function, args), timeout=seconds)
            except (BrokenProcessPool, RuntimeError, OSError):  # it broke, or was closed, since it was started
                self._drop(starting)
                continue
            try:
                return _read(await asyncio.wrap_future(job))
            except BrokenProcessPool:
                self._drop(starting)  # an idle worker died and took the pool with it: start afresh
            except TimeoutError:
                return Failed(f"timed out after {seconds:g} s")
            except asyncio.CancelledError:
                raise
            except Exception as error:
                reason = _reason(error)
                if getattr(error, "exitcode", None) not in _OUTSIDE:
                    break
        return Failed(reason)

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
        return f"the checking process died (exit code {0 if code == ENDED else code})"
    return _failed(said(error) if isinstance(error, _Raised) else _in_words(error))


def _in_words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {said(error)}"
    except BaseException:  # its own words may raise too, and be a KeyboardInterrupt
        return f"{type(error).__name__}, which cannot be shown"


def _failed(text: str) -> str:
    return f"the checking process failed ({text if len(text) <= 100 else text[:99] + '…'})"


def _read(returned: Any) -> Done | Failed:
    """What a job returned. It was sent as bytes: a class of anybody's that cannot be read would end the thread that
    reads for all jobs."""
    try:
        return Done(pickle.loads(returned))
    except (Exception, SystemExit) as error:
        return Failed(_failed(f"what it returned cannot be read: {_in_words(error)}"))


def _ready() -> int:
    """Which worker is up; slow enough that one worker does not take every job."""
    time.sleep(0.02)
    return os.getpid()


def _alone(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    """In the worker: a job, and the end of all that it has started. What it returns is pickled here.

    A job that forks may let its child return. That child is a copy of the worker, with its pipes: it ends here, or it
    would take the worker's jobs.
    """
    worker = os.getpid()
    try:
        return pickle.dumps(function(*args))
    except BaseException as error:  # of anybody's code: whatever it is, it ends this job and nothing else
        raise _Raised(_in_words(error)) from None
    finally:
        if os.getpid() != worker:
            os._exit(0)
        end_all()


def _prepare_worker() -> None:
    """In the worker: stay within bounds, adopt what loses its parent, leave no core file and no noise."""
    import resource

    adopt()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # a lower hard limit is set already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)


class _Popen(popen_forkserver.Popen):
    """Starts a process as the standard library does, but without the instruction to import the main program."""

    def _launch(self, process_obj: BaseProcess) -> None:
        about = spawn.get_preparation_data(process_obj.name)
        for key in ("init_main_from_name", "init_main_from_path"):
            about.pop(key, None)
        told, tell = os.pipe()
        process_obj.tells = self.duplicate_for_child(tell)  # type: ignore[attr-defined]  # its place in the list
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(about, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        try:
            self.sentinel, writer = forkserver.connect_to_new_process(self._fds)  # type: ignore[attr-defined]  # not in typeshed
        finally:
            os.close(tell)
        parent = os.dup(writer)  # the worker sees our end through this one
        close = util.close_fds  # type: ignore[attr-defined]  # not in typeshed
        self.finalizer = util.Finalize(self, close, (parent, self.sentinel))
        with open(writer, "wb", closefd=True) as pipe:
            pipe.write(buffer.getbuffer())
        forkserver.read_signed(self.sentinel)  # the keeper, which nobody needs to know
        with open(told, "rb") as pipe:
            self.pid = int(pipe.read() or b"-1")
        if self.pid < 0:
            raise OSError("a checking process ended before it began")


class _Process(ForkServerProcess):
    """A worker in the eyes of whoever starts it. The process that the fork server makes is its keeper."""

    tells: int

    def _bootstrap(self, parent_sentinel: int) -> int:
        tell = (forkserver.get_inherited_fds() or [])[self.tells]
        adopt()
        keeper = os.getpid()
        worker = os.fork()
        if worker:
            close_all_but(parent_sentinel)
            return keep(worker, parent_sentinel) or ENDED  # 0 is no end to pebble: it would wait out the job's time
        die_with_the_parent(keeper)
        os.write(tell, b"%d" % os.getpid())
        os.close(tell)
        return cast(int, super()._bootstrap(parent_sentinel))  # type: ignore[misc]  # not in typeshed

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        return _Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Process
