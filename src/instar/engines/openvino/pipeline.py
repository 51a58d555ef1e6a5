"""One loaded set of weights in openvino, and the daemon thread that alone talks to it.

The thread takes requests from an inbox, adds as many to the running batch as the key/value cache surely holds, steps,
and hands finished ones back to the event loop that asked. Nothing else touches the pipeline, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from instar.chat import ChatTokenizer
from instar.engines.hf.reference import Check
from instar.engines.openvino.admission import BLOCK, Admission
from instar.engines.openvino.export import export
from instar.engines.openvino.graph import WeightType
from instar.engines.openvino.request import Scored, cache_need, generation
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.request import Request
from instar.errors import EngineError, InstarError, ModelError
from instar.model_folder.adapter import Adapter
from instar.model_folder.folder import plain_llama
from instar.records import Finish

MEMORY = Path("/dev/shm")
MAX_SEQUENCES = 256
"""Sequences stepped side by side; measured here, more does not raise tokens/s."""
MAX_BATCHED_TOKENS = 768
"""Tokens read in one step. openvino's ``step`` holds Python's interpreter lock all along (measured: 2,000 prompt tokens
in f32 stopped every other thread for 3.9 s on a busy machine), so long prompts are read in short
steps and Ctrl-C stays alive."""

PRECISIONS: dict[str, tuple[WeightType, dict[str, Any], float]] = {
    "f32": ("f32", {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}, 4.0),
    "bf16": ("f16", {"INFERENCE_PRECISION_HINT": "bf16", "KV_CACHE_PRECISION": "bf16"}, 2.0),
    "int8": ("i8", {"KV_CACHE_PRECISION": "u8"}, 1.25),
}
"""Name -> type of the exported weights, openvino's settings, bytes a cached number takes (u8 carries scales)."""


class Pipeline:
    """Weights of one digest at one precision, with one adapter or none, being loaded, answering, or stopped.

    ``ready`` is set when the weights are in memory, or holds the error; its result is the tokenizer. ``users`` counts
    the asks that hold it and belongs to the engine. One that ``scores`` reads every prompt whole.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        precision: str,
        *,
        adapter: Callable[[], Adapter | None] = lambda: None,
        scratch: Path,
        cache_gb: int,
        clock: Clock,
        after: Pipeline | None = None,
        scores: bool = False,
    ) -> None:
        self.users = 0
        self.stopped = False
        self.ready: Future[ChatTokenizer] = Future()
        self.ready.set_running_or_notify_cancel()  # one waiter's cancellation must not cancel the load for all
        self._folder, self._precision, self._scratch, self._clock = folder, precision, scratch, clock
        self._adapter = adapter
        self._cache_gb = cache_gb
        self._cache_tokens = 0
        self._after = after
        self._scores = scores
        self._inbox: deque[Request] = deque()
        self._change = Condition()
        self._active: list[Request] = []
        self._admission = Admission()
        self._thread = Thread(target=self._live, name=f"openvino-{precision}", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request. Raises EngineError if its reply could not fit into the cache, or if this has stopped."""
        wanted = cache_need(request)
        if wanted > self._cache_tokens:
            raise EngineError(
                f"{request.n} replies of up to {request.sampling.max_tokens} tokens to a prompt of "
                f"{len(request.ids)} need {wanted} cached tokens; {self._cache_gb} GB hold {self._cache_tokens}.",
                "Lower n or max_tokens, or raise the engine's cache_gb.",
            )
        with self._change:
            if self.stopped:
                raise _unloaded()
            self._inbox.append(request)
            self._change.notify()

    def cancel(self, request: Request) -> None:
        """Drop a request nobody waits for any more."""
        with self._change:
            request.cancelled = True
            self._change.notify()

    def stop(self) -> None:
        """Free the weights. Requests still waiting fail with a transient EngineError."""
        self.request_stop()
        self._thread.join()

    def request_stop(self) -> None:
        with self._change:
            self.stopped = True
            self._change.notify()

    # --- everything below runs in the thread -----------------------------------------------------------------------

    def _live(self) -> None:
        error: Exception = _unloaded()
        try:
            try:
                with self._clock.running():
                    if self._after is not None:
                        self._after.stop()  # never two sets of weights in memory during a change
                        self._after = None
                    pipe, tokenizer = self._load()
            except InstarError as e:
                self.ready.set_exception(e.with_traceback(None))  # which would keep the weights
                return
            except Exception as e:
                self.ready.set_exception(EngineError(f"openvino could not load the weights: {e}.", "See above."))
                return
            self.ready.set_result(tokenizer)
            try:
                self._serve(pipe)
            except Exception as e:
                error = EngineError(f"openvino failed while generating: {e}.", "The next ask loads again.")
                error.transient = True
            self._abandon(pipe)
            del pipe
        finally:
            with self._change:
                self.stopped = True
                left = [*self._active, *self._inbox]
                self._inbox.clear()
            self._active = []
            for request in left:
                request.resolve(error)
            gc.collect()
            _give_memory_back()

    def _load(self) -> tuple[Any, ChatTokenizer]:
        try:
            import openvino_genai as genai
        except ImportError as e:
            raise ModelError(
                f"The package {e.name or 'openvino_genai'} is needed for the openvino engine.",
                "Install it: pip install 'instar[openvino]'.",
            ) from e
        weight_type, settings, bytes_each = PRECISIONS[self._precision]
        folder, adapter = self._folder(), self._adapter()
        tokenizer = ChatTokenizer.load(folder)
        self._cache_tokens = int(self._cache_gb * 2**30 / (plain_llama(folder).kv_values_per_token() * bytes_each))
        check = Check(folder if adapter is None else adapter.folder, "openvino", self._precision)
        self._scratch.mkdir(parents=True, exist_ok=True)
        out = _room_for(folder, self._scratch) / f"instar-export-{os.getpid()}-{id(self):x}"
        try:
            export(folder, out, weight_type, adapter)
            scheduler = genai.SchedulerConfig()
            scheduler.cache_size = self._cache_gb
            # what is found in a cache of prefixes is not computed, so it has no log-probabilities
            scheduler.enable_prefix_caching = not self._scores
            scheduler.max_num_seqs = MAX_SEQUENCES
            scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
            formality = genai.Tokenizer(str(_empty_tokenizer(self._scratch)))
            pipe = genai.ContinuousBatchingPipeline(str(out), formality, scheduler, "CPU", **settings)
        finally:
            shutil.rmtree(out, ignore_errors=True)  # what is mapped stays readable
        check.run(partial(_scores, pipe, tokenizer.stop_ids), min(self._cache_tokens - 32, tokenizer.context))
        return pipe, tokenizer

    def _serve(self, pipe: Any) -> None:
        number = 0
        while True:
            with self._change:
                while not (self.stopped or self._inbox or self._active):
                    self._change.wait()
                if self.stopped:
                    return
                fresh = self._admitted()
            with self._clock.running():
                for request in fresh:
                    number += 1
                    self._add(pipe, request, number)
                for request in [r for r in self._active if r.cancelled]:
                    request.handle.cancel()
                    self._active.remove(request)
                if pipe.has_non_finished_requests():
                    pipe.step()
                # what is being written comes first, one token a sequence, and prompts take the rest of a step
                writing = sum(r.n for r in self._active) - self._admission.reading
                self._admission.stepped(max(MAX_BATCHED_TOKENS - max(writing, 0), BLOCK))
                self._tell()
                self._collect()
            time.sleep(0)  # step() keeps the interpreter lock: let the event loop have its turn

    def _admitted(self) -> list[Request]:
        """What joins the batch now, first come first served, so that the cache never overflows: openvino would then
        throw work away and begin it again. Who shares a beginning that is only now being read waits for a step."""
        sequences = sum(r.n for r in self._active)
        tokens = sum(cache_need(r) for r in self._active)
        fresh: list[Request] = []
        held: list[Request] = []
        while self._inbox:
            head = self._inbox.popleft()
            if head.cancelled:
                continue
            after = sequences + head.n, tokens + cache_need(head)
            if after[0] > MAX_SEQUENCES or after[1] > self._cache_tokens:
                held.append(head)
                break
            if not (self._scores or self._admission.may_start(head.ids)):
                held.append(head)
                continue
            sequences, tokens = after
            fresh.append(head)
        self._inbox.extendleft(reversed(held))
        return fresh

    def _add(self, pipe: Any, request: Request, number: int) -> None:
        import numpy as np
        import openvino as ov

        try:
            tokenizer = self.ready.result()
            ids = ov.Tensor(np.array([request.ids], dtype=np.int64))
            request.handle = pipe.add_request(number, ids, generation(request, tokenizer.stop_ids))
        except Exception as e:
            request.resolve(EngineError(f"openvino refused the request: {e}.", "Look at its sampling settings."))
        else:
            self._active.append(request)

    def _tell(self) -> None:
        """What was just written, to those who listen. What is read here is no longer there for ``_collect``."""
        for request in [r for r in self._active if r.on_ids is not None]:
            while request.handle.can_read():
                for output in request.handle.read().values():
                    request.tell(output.generated_ids)
                    request.reason = output.finish_reason

    def _collect(self) -> None:
        import openvino_genai as genai

        running = genai.GenerationStatus.RUNNING
        stop = genai.GenerationFinishReason.STOP
        for request in [r for r in self._active if r.handle.get_status() != running]:
            self._active.remove(request)
            status = request.handle.get_status()
            if status != genai.GenerationStatus.FINISHED:
                request.resolve(
                    EngineError(f"openvino gave the request up ({status.name}).", "Raise cache_gb.", transient=True)
                )
                continue
            if request.on_ids is not None:
                request.resolve([(tuple(request.so_far), Finish.stop if request.reason == stop else Finish.length)])
                continue
            outputs = request.handle.read_all()
            if isinstance(request, Scored):
                try:
                    request.read(list(outputs[0].generated_log_probs))
                    request.resolve([])
                except EngineError as e:
                    request.resolve(e)
                continue
            request.resolve(
                [(tuple(o.generated_ids), Finish.stop if o.finish_reason == stop else Finish.length) for o in outputs]
            )

    def _abandon(self, pipe: Any) -> None:
        """Let the pipeline forget what is unfinished, so that it frees its cache in order."""
        try:
            for request in self._active:
                request.handle.cancel()
            while pipe.has_non_finished_requests():
                pipe.step()
        except Exception:
            return  # it failed already, and that error is on its way to those who wait


def _scores(pipe: Any, stop_ids: tuple[int, ...], asked: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probabilities that a pipeline, which has read nothing yet, gives to these sequences."""
    import numpy as np
    import openvino as ov

    loop = asyncio.new_event_loop()
    try:
        requests = [Scored.of([s[0]], list(s[1:]), loop) for s in asked]
        for number, r in enumerate(requests):
            ids = ov.Tensor(np.array([r.ids], dtype=np.int64))
            r.handle = pipe.add_request(2**40 + number, ids, generation(r, stop_ids))
            while pipe.has_non_finished_requests():
                pipe.step()
            r.read(list(r.handle.read_all()[0].generated_log_probs))
    finally:
        loop.close()
    return [r.found for r in requests]


def _room_for(folder: Path, scratch: Path) -> Path:
    """Where an export goes: into memory if that holds it twice over, for it is read back at once and then removed."""
    size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free > 2 * size and os.access(MEMORY, os.W_OK):
            return MEMORY
    return scratch


def _empty_tokenizer(scratch: Path) -> Path:
    """A folder with a tokenizer that tokenises nothing. The pipeline insists on having one; we give it token ids and
    take token ids. Built from three core operations, it needs neither transformers nor openvino_tokenizers."""
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    folder = scratch / f"empty-tokenizer-{ov.__version__.split('-')[0]}"
    if (folder / "openvino_tokenizer.xml").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    texts = op.parameter([-1], ov.Type.string, name="texts")
    outputs = []
    for name in ("input_ids", "attention_mask"):
        out = op.unsqueeze(op.shape_of(texts, "i64"), op.constant(np.int64(0)))
        out.output(0).set_names({name})
        outputs.append(op.result(out))
    part = folder / f"part-{os.getpid()}.xml"
    ov.save_model(ov.Model(outputs, [texts], "empty_tokenizer"), part)
    os.replace(part.with_suffix(".bin"), folder / "openvino_tokenizer.bin")
    os.replace(part, folder / "openvino_tokenizer.xml")
    return folder


def _unloaded() -> EngineError:
    return EngineError("The weights were unloaded while the ask was under way.", "Ask again.", transient=True)


def _give_memory_back() -> None:
    """glibc keeps freed weights for itself unless told otherwise, and training needs that memory."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library: nothing to do
