"""One loaded set of weights in transformers, and the daemon thread that alone touches it.

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
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread

from instar.chat import ChatTokenizer
from instar.engines.asks import Clock
from instar.engines.batching import PREFILL, Batch, Part, padded
from instar.engines.causal import BYTES, CausalModel
from instar.errors import EngineError, InstarError


@dataclass(frozen=True)
class Limits:
    """What one set of weights may take: rows side by side, and gigabytes of key/value cache."""

    rows: int
    cache_gb: float


@dataclass(eq=False)
class Score:
    """An answer whose log-probabilities are wanted."""

    ids: list[int]
    answer: list[int]
    future: Future[list[float]] = field(default_factory=Future)


class Worker:
    """Weights of one digest at one precision, being loaded, answering, or stopped.

    ``ready`` is set when the weights are in memory, or holds the error; its result is the tokenizer. ``context`` and
    ``cache_tokens`` are known from then on. ``users`` counts the asks that hold it and belongs to the engine.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        load: Callable[[Path], CausalModel],
        limits: Limits,
        clock: Clock,
        after: Worker | None = None,
    ) -> None:
        self.users = 0
        self.stopped = False
        self.ready: Future[ChatTokenizer] = Future()
        self.ready.set_running_or_notify_cancel()  # one waiter's cancellation must not cancel the load for all
        self.context = 0
        self.vocab_size = 0
        self.cache_tokens = 0
        self._folder, self._load, self._limits, self._clock, self._after = folder, load, limits, clock, after
        self._inbox: deque[Part] = deque()
        self._scores: deque[Score] = deque()
        self._active: list[Part] = []
        self._change = Condition()
        self._thread = Thread(target=self._live, name="transformers", daemon=True)
        self._thread.start()

    def submit(self, part: Part) -> None:
        """Queue a part of an ask. Raises EngineError if this has stopped."""
        with self._change:
            if self.stopped:
                raise unloaded()
            self._inbox.append(part)
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

    def cancel(self, part: Part) -> None:
        """Drop a part nobody waits for any more."""
        with self._change:
            part.cancelled = True
            self._change.notify()

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
                    model, tokenizer = self._loaded()
            except InstarError as e:
                self.ready.set_exception(e)
                return
            except Exception as e:
                self.ready.set_exception(EngineError(f"transformers could not load the weights: {e}.", "See above."))
                return
            self.ready.set_result(tokenizer)
            try:
                self._serve(model, Batch(model, tokenizer.stop_ids, self._limits.rows, self.cache_tokens))
            except Exception as e:
                error = _failed(e)
            del model
        finally:
            with self._change:
                self.stopped = True
                left = [*self._active, *self._inbox]
                scores = list(self._scores)
                self._inbox.clear()
                self._scores.clear()
            self._active = []
            for part in left:
                part.resolve(error)
            for score in scores:
                _settle(score, error)
            gc.collect()
            _give_memory_back()

    def _loaded(self) -> tuple[CausalModel, ChatTokenizer]:
        folder = self._folder()
        tokenizer = ChatTokenizer.load(folder)
        model = self._load(folder)
        # some configs name their positions otherwise (GPT-2: n_positions), which only transformers translates
        self.context = model.context or tokenizer.context
        self.vocab_size = model.vocab_size
        bytes_each = model.values_per_token * BYTES[model.precision]
        self.cache_tokens = int(self._limits.cache_gb * 2**30 / bytes_each)
        return model, tokenizer

    def _serve(self, model: CausalModel, batch: Batch) -> None:
        import torch

        with torch.inference_mode():
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
                        self._answer_scores(model)
                    if fresh:
                        batch.join(fresh)
                    elif batch.rows:
                        batch.step()
                time.sleep(0)  # let the event loop have its turn at the interpreter lock

    def _admitted(self, batch: Batch) -> list[Part]:
        """What joins the batch now, first come first served."""
        fresh: list[Part] = []
        while self._inbox:
            if self._inbox[0].cancelled:
                self._inbox.popleft()
            elif batch.room_for(fresh, self._inbox[0]):
                fresh.append(self._inbox.popleft())
            else:
                break
        return fresh

    def _answer_scores(self, model: CausalModel) -> None:
        """Some of the waiting answers, in one pass: as many as a prompt pass may hold."""
        import torch

        scores: list[Score] = []
        width = 0
        with self._change:
            while self._scores:
                longest = max(width, len(self._scores[0].ids) + len(self._scores[0].answer))
                if scores and (len(scores) + 1) * longest > PREFILL:
                    break
                scores.append(self._scores.popleft())
                width = longest
        wanted = [s for s in scores if s.future.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            ids, mask = padded([s.ids + s.answer for s in wanted], model.device)
            keep = max(len(s.answer) for s in wanted) + 1
            logits = model.forward(ids, mask, None, keep=keep)
            for row, score in zip(logits, wanted, strict=True):
                mine = row[-len(score.answer) - 1 : -1]  # the place before a token predicts it
                targets = torch.tensor(score.answer, device=mine.device).unsqueeze(-1)
                found = mine.gather(-1, targets).squeeze(-1) - mine.logsumexp(-1)
                score.future.set_result([float(x) for x in found])
        except Exception as e:
            for score in wanted:
                _settle(score, _failed(e))
            raise


def unloaded() -> EngineError:
    """The error of an ask whose weights left."""
    return EngineError("The weights were unloaded while the ask was under way.", "Ask again.", transient=True)


def _failed(e: Exception) -> EngineError:
    if "out of memory" in str(e).lower() or "can't allocate memory" in str(e).lower():
        hint = "Lower engine_options.rows or engine_options.cache_gb."
    else:
        hint = "The next ask loads again."
    return EngineError(f"transformers failed while generating: {type(e).__name__}: {e}.", hint, transient=True)


def _settle(score: Score, error: Exception) -> None:
    if not score.future.done():
        score.future.set_exception(error)


def _give_memory_back() -> None:
    """glibc keeps freed weights for itself unless told otherwise, and training needs that memory."""
    try:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (ImportError, OSError, AttributeError):
        return  # no torch was ever loaded, or another C library: nothing to do
