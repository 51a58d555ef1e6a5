"""The one thread that writes a ledger: writes that arrive together share statements and one commit to disk.

A full sync of SQLite costs about a millisecond here and a statement through SQLAlchemy a quarter of one; hundreds of
model calls finish in the same moment. Rows that wait are written by one statement a table, in one transaction, and
each caller hears only after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from instar.errors import StoreError
from instar.store.rows import Rows, write_rows

Write = Rows | Callable[[Connection], None]
Waiting = tuple[Write, "Future[None] | asyncio.Future[None]"]
_LINGER = 0.004  # seconds to wait for company before a commit


class GroupCommit:
    """Runs writes in order on its own thread, many to a transaction. ``each`` is run once in every transaction."""

    def __init__(self, engine: Engine, where: str, each: Callable[[Connection], None] = lambda _: None) -> None:
        self._engine = engine
        self._where = where
        self._each = each
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._broken: StoreError | None = None
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    async def write(self, write: Write) -> None:
        """Returns when the write is on disk. Raises StoreError when it could not be written."""
        done = asyncio.get_running_loop().create_future()
        if self._broken:
            raise self._broken
        self._queue.put((write, done))
        await done

    def write_now(self, write: Write) -> None:
        """The same from outside an event loop."""
        if self._broken:
            raise self._broken
        done: Future[None] = Future()
        self._queue.put((write, done))
        done.result()

    def write_soon(self, write: Write) -> None:
        """Put it in the queue and do not wait: whoever writes next hears of a disk that is full."""
        if self._broken:
            raise self._broken
        self._queue.put((write, Future()))

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        last = False
        while not last:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            threading.Event().wait(_LINGER)
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._commit(batch)

    def _commit(self, batch: Sequence[Waiting]) -> None:
        if self._broken:
            _tell(batch, self._broken)
            return
        try:
            with self._engine.begin() as connection:
                self._each(connection)
                for many, writes in groupby((w for w, _ in batch), lambda w: isinstance(w, Rows)):
                    if many:
                        write_rows(connection, [w for w in writes if isinstance(w, Rows)])
                    else:
                        for write in writes:
                            if not isinstance(write, Rows):
                                write(connection)
        except Exception as e:
            if len(batch) > 1 and not _is_full(e):
                # one bad write must not take its neighbours with it: each gets a transaction of its own
                for one in batch:
                    self._commit([one])
                return
            error = self._explain(e)
            if isinstance(error, StoreError):
                self._broken = error
            _tell(batch, error)
            return
        _tell(batch, None)

    def _explain(self, error: Exception) -> Exception:
        if _is_full(error):
            return StoreError(
                f"the disk that holds {self._where} is full: nothing already stored is lost.",
                "Free some space and resume.",
            )
        if isinstance(error, OperationalError):
            return StoreError(f"the ledger {self._where} cannot be written ({error.orig}).")
        return error


def _tell(batch: Sequence[Waiting], error: Exception | None) -> None:
    """Wake those who wait: those of one event loop together, for each wake-up of a loop is a system call."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for _, done in batch:
        if isinstance(done, asyncio.Future):
            loops[done.get_loop()].append(done)
        elif error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
    for loop, waiting in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was left meanwhile; the write is done either way
            loop.call_soon_threadsafe(_resolve, waiting, error)


def _resolve(waiting: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    """In the loop's own thread, where a cancelled future (Ctrl-C gives up hundreds at once) is known as such."""
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _is_full(error: Exception) -> bool:
    said = str(error).lower()
    return "disk is full" in said or "no space left" in said or "disk i/o error" in said
