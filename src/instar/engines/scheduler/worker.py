"""One loaded set of weights, and the daemon thread that alone touches it.

The thread takes asks from an inbox, lets as many join the running batch as its limits hold, steps, and hands finished
ones back to the event loop that asked. Nothing else touches the model, so it needs no lock.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Thread

from instar.chat import ChatTokenizer
from instar.engines.hf.reference import Check, of_backend
from instar.engines.scheduler.backend import Backend, RunningBatch, Score
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.request import Request
from instar.errors import EngineError, InstarError
from instar.model_folder.adapter import Adapter


class Worker:
    """Weights of one digest at one precision, with one adapter or none, being loaded, answering, or stopped.

    ``ready`` is set when the weights are in memory, or holds the error; its result is the tokenizer. ``context``
    and ``vocab_size`` are known from then on. ``users`` counts the asks that hold it and belongs to the engine.
    """

    def __init__(
        self,
        engine: str,
        folder: Callable[[], Path],
        load: Callable[[Path, Adapter | None], Backend],
        clock: Clock,
        after: Worker | None = None,
        precision: str = "f32",
        adapter: Callable[[], Adapter | None] = lambda: None,
    ) -> None:
        self.users = 0
        self.stopped = False
        self.ready: Future[ChatTokenizer] = Future()
        self.ready.set_running_or_notify_cancel()  # one waiter's cancellation must not cancel the load for all
        self.context = 0
        self.vocab_size = 0
        self._engine, self._folder, self._load, self._clock, self._after = engine, folder, load, clock, after
        self._precision, self._adapter = precision, adapter
        self._backend: Backend | None = None
        self._inbox: deque[Request] = deque()
        self._scores: deque[Score] = deque()
        self._active: list[Request] = []
        self._change = Condition()
        self._thread = Thread(target=self._live, name=engine, daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request. Raises EngineError if this has stopped."""
        with self._change:
            if self.stopped:
                raise unloaded()
            self._inbox.append(request)
            self._change.notify()

    def score(self, ids: list[int], answer: list[int]) -> Future[list[float]]:
        """Queue an answer to be scored. Raises EngineError if this has stopped."""
        wanted = Score(ids, answer)
        with self._change:
            if self.stopped:
                raise unloaded()
            self._scores.append(wanted)
            self._change.notify()
        return wanted.future

    def cancel(self, request: Request) -> None:
        """Drop a request that nobody waits for any more."""
        with self._change:
            request.cancelled = True
            self._change.notify()

    @property
    def cache_tokens(self) -> int:
        """Tokens that the cache holds."""
        return self._backend.cache_tokens if self._backend else 0

    def samples_at_once(self, prompt: int, reply: int) -> int:
        """How many samples of one ask it can hold at once; 0 if not even one."""
        return self._backend.samples_at_once(prompt, reply) if self._backend else 0

    def stop(self) -> None:
        """Free the weights. Asks still waiting fail with a transient EngineError."""
        self.request_stop()
        self._thread.join()

    def request_stop(self) -> None:
        with self._change:
            self.stopped = True
            self._change.notify()

    # --- everything below runs in the thread -----------------------------------------------------------------------

    def _live(self) -> None:
        error: Exception = unloaded()
        try:
            if self._after is not None:
                self._after.stop()  # never two sets of weights in memory during a change
                self._after = None
            try:
                with self._clock.running():
                    backend, tokenizer = self._opened()
            except InstarError as e:
                self.ready.set_exception(e.with_traceback(None))  # which would keep the weights
                return
            except Exception as e:
                self.ready.set_exception(EngineError(f"{self._engine} could not load the weights: {e}.", "See above."))
                return
            self.ready.set_result(tokenizer)
            try:
                with backend.serving():
                    self._serve(backend, backend.batch(tokenizer.stop_ids))
            except Exception as e:
                error = self._failed(e)
            backend.close()
        finally:
            with self._change:
                self.stopped = True
                left = [*self._active, *self._inbox]
                scores = list(self._scores)
                self._inbox.clear()
                self._scores.clear()
            self._active = []
            for request in left:
                request.resolve(error)
            for score in scores:
                score.fail(error)
            gc.collect()
            _give_memory_back()

    def _opened(self) -> tuple[Backend, ChatTokenizer]:
        folder, adapter = self._folder(), self._adapter()
        tokenizer = ChatTokenizer.load(folder)
        check = Check(folder if adapter is None else adapter.folder, self._engine, self._precision)
        backend = self._load(folder, adapter)
        try:
            check.run(of_backend(backend), min(backend.cache_tokens, backend.context or tokenizer.context))
        except BaseException:
            backend.close()
            raise
        # some configs name their positions otherwise (GPT-2: n_positions), which only transformers translates
        self.context = backend.context or tokenizer.context
        self.vocab_size = backend.vocab_size
        self._backend = backend
        return backend, tokenizer

    def _serve(self, backend: Backend, batch: RunningBatch) -> None:
        while True:
            with self._change:
                while not (self.stopped or self._inbox or self._scores or batch.rows):
                    self._change.wait()
                if self.stopped:
                    return
                batch.compact()
                fresh = self._admitted(batch)
                self._active = [p for p in self._active if not (p.cancelled or len(p.outputs) == p.n)] + fresh
            with self._clock.running():
                if self._scores:
                    self._answer_scores(backend)
                if fresh:
                    batch.join(fresh)
                elif batch.rows:
                    batch.step()
            time.sleep(0)  # let the event loop have its turn at the interpreter lock

    def _admitted(self, batch: RunningBatch) -> list[Request]:
        """What joins the batch now, first come first served."""
        fresh: list[Request] = []
        while self._inbox:
            if self._inbox[0].cancelled:
                self._inbox.popleft()
            elif batch.admits(fresh, self._inbox[0]):
                fresh.append(self._inbox.popleft())
            else:
                break
        return fresh

    def _answer_scores(self, backend: Backend) -> None:
        """Some of the waiting answers, in one pass."""
        with self._change:
            while self._scores and self._scores[0].future.cancelled():
                self._scores.popleft()
            scores = [self._scores.popleft() for _ in range(backend.scorable(list(self._scores)))]
        wanted = [s for s in scores if s.future.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            backend.score(wanted)
        except Exception as e:
            for score in wanted:
                score.fail(self._failed(e))
            raise

    def _failed(self, e: Exception) -> EngineError:
        if "out of memory" in str(e).lower() or "can't allocate memory" in str(e).lower():
            hint = "Lower engine_options.rows or engine_options.cache_gb."
        else:
            hint = "The next ask loads again."
        return EngineError(f"{self._engine} failed while generating: {type(e).__name__}: {e}.", hint, transient=True)


def unloaded() -> EngineError:
    """The error of an ask whose weights left."""
    return EngineError("The weights were unloaded while the ask was under way.", "Ask again.", transient=True)


def _give_memory_back() -> None:
    """glibc keeps freed weights for itself unless told otherwise, and training needs that memory."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library: nothing to do
