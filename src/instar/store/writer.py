"""The one thread that writes a ledger: transactions that arrive together share one commit to disk.

A full sync of SQLite costs about a millisecond here; hundreds of model calls finish in the same moment. Each write is
a function of a connection; writes that wait are run in one transaction, and each caller hears only after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from instar.errors import StoreError

Write = Callable[[Connection], None]
_LINGER = 0.004  # seconds to wait for company before a commit


class GroupCommit:
    """Runs writes in order on its own thread, many to a transaction."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._queue: queue.SimpleQueue[tuple[Write, Future[None]] | None] = queue.SimpleQueue()
        self._broken: StoreError | None = None
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    async def write(self, write: Write) -> None:
        """Returns when the write is on disk. Raises StoreError when it could not be written."""
        await asyncio.wrap_future(self._submit(write))

    def write_now(self, write: Write) -> None:
        """The same from outside an event loop."""
        self._submit(write).result()

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _submit(self, write: Write) -> Future[None]:
        future: Future[None] = Future()
        if self._broken:
            future.set_exception(self._broken)
        else:
            self._queue.put((write, future))
        return future

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
            for _, future in batch:
                # from here on a cancel comes too late: Ctrl-C gives up hundreds of these at once, and a future
                # cancelled between a look and the answer would end this thread. The write itself is done either way.
                future.set_running_or_notify_cancel()
            self._commit(batch)

    def _commit(self, batch: list[tuple[Write, Future[None]]]) -> None:
        try:
            with self._engine.begin() as connection:
                for write, _ in batch:
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
            for _, future in batch:
                if future.running():
                    future.set_exception(error)
            return
        for _, future in batch:
            if future.running():
                future.set_result(None)

    def _explain(self, error: Exception) -> Exception:
        if _is_full(error):
            return StoreError(
                f"the disk that holds {self._where} is full: nothing already stored is lost.",
                "Free some space and resume.",
            )
        if isinstance(error, OperationalError):
            return StoreError(f"the ledger {self._where} cannot be written ({error.orig}).")
        return error


def _is_full(error: Exception) -> bool:
    said = str(error).lower()
    return "disk is full" in said or "no space left" in said or "disk i/o error" in said
