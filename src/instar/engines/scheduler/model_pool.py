"""Which sets of weights are loaded: at most so many, the least recently used idle one makes room for another.

What loads them is handed in: a worker of our scheduler, or a pipeline of openvino.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, NamedTuple, Protocol, TypeVar

from instar.chat import ChatTokenizer
from instar.errors import EngineError
from instar.model_folder.adapter import Adapter, read
from instar.protocols import ArtefactStore


class Key(NamedTuple):
    """What is loaded: which weights, in which arithmetic, with which adapter on them; ``scores`` where those that score
    are loaded apart."""

    digest: str
    precision: str
    adapter: str | None = None
    scores: bool = False

    def adapter_in(self, artefacts: ArtefactStore) -> Adapter | None:
        """The adapter that is put on, if one is. Raises ModelError for one that was made for other weights."""
        return None if self.adapter is None else read(artefacts.open(self.adapter), self.digest)


class Loaded(Protocol):
    """Weights that are being loaded, answer, or have stopped."""

    users: int
    stopped: bool
    ready: Future[ChatTokenizer]

    def request_stop(self) -> None:
        """Let it stop by itself."""
        ...

    def stop(self) -> None:
        """Free the weights, and return when that is done."""
        ...


LoadedT = TypeVar("LoadedT", bound=Loaded)


class ModelPool(Generic[LoadedT]):
    """The loaded weights of one engine. ``make(key, leaver)`` begins to load, after ``leaver`` has left."""

    def __init__(self, engine: str, most: int, make: Callable[[Key, LoadedT | None], LoadedT]) -> None:
        self._engine, self._most, self._make = engine, most, make
        self._made_for = most
        self._workers: OrderedDict[Key, LoadedT] = OrderedDict()
        self._waiting: list[Future[None]] = []
        self._lock = Lock()
        self._closed = False

    @property
    def most(self) -> int:
        """How many sets of weights there is room for."""
        return self._most

    def hold(self, most: int) -> None:
        """Make room for so many that are asked in turn, and for as many as it was made for at least: who asks for fewer
        again gives the room back, as others come."""
        with self._lock:
            self._most = max(self._made_for, most)
            self._call_waiting()

    def loaded(self) -> list[Key]:
        """What is loaded, the least recently used first."""
        with self._lock:
            return list(self._workers)

    def get(self, key: Key) -> LoadedT | None:
        """The worker for these weights, if they are loaded or being loaded."""
        return self._workers.get(key)

    async def acquire(self, key: Key) -> LoadedT:
        """The worker for these weights, one user more. Waits while the house is full of busy ones."""
        while True:
            with self._lock:
                if self._closed:
                    raise EngineError(f"The {self._engine} engine is closed.", "Open a new one.")
                for gone in [k for k, w in self._workers.items() if w.stopped]:
                    del self._workers[gone]
                found = self._workers.get(key) or self._enter(key)
                if found is not None:
                    self._workers.move_to_end(key)
                    found.users += 1
                    return found
                turn: Future[None] = Future()
                self._waiting.append(turn)
            await asyncio.wrap_future(turn)

    async def ready(self, key: Key, worker: LoadedT) -> ChatTokenizer:
        """The tokenizer, once the weights are in memory. After an error the next ask tries again."""
        try:
            return await asyncio.wrap_future(worker.ready)
        except Exception:
            with self._lock:
                if self._workers.get(key) is worker:
                    del self._workers[key]
            raise

    def release(self, worker: LoadedT) -> None:
        """One user less."""
        with self._lock:
            worker.users -= 1
            if worker.users == 0:
                self._call_waiting()

    def drop(self, keys: Sequence[Key]) -> None:
        """Free these weights. Asks under way fail with a transient EngineError."""
        with self._lock:
            leaving = [self._workers.pop(k) for k in keys if k in self._workers]
            self._call_waiting()
        for worker in leaving:
            worker.stop()

    def close(self) -> None:
        """Free all, for good."""
        self._closed = True
        self.drop(self.loaded())

    def _enter(self, key: Key) -> LoadedT | None:
        """Begin to load, in the place of an idle one if need be. None if there is no place now."""
        leaver: LoadedT | None = None
        while len(self._workers) > self._most and (spare := self._idle()) is not None:
            self._workers.pop(spare).request_stop()  # there was room for more, once
        if len(self._workers) >= self._most:
            idle = self._idle()
            if idle is None:
                return None
            leaver = self._workers.pop(idle)
            leaver.request_stop()
        self._workers[key] = self._make(key, leaver)
        return self._workers[key]

    def _idle(self) -> Key | None:
        """The idle one used longest ago."""
        return next((k for k, w in self._workers.items() if w.users == 0), None)

    def _call_waiting(self) -> None:
        for turn in self._waiting:
            if turn.set_running_or_notify_cancel():
                turn.set_result(None)
        self._waiting.clear()
