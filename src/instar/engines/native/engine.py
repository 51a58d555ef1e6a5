"""The native engine: Llama-type weights on an x86-64 CPU, in kernels of our own (see ``kernels``).

A reply is a function of the weights, the prompt, the sampling, the seed and the sample's place in the ask, to the last
bit, whatever else is asked at the time: it *is* batch-invariant.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from instar.engines.native import build, paged_scoring
from instar.engines.native.llama import PAGE, PRECISIONS, Llama
from instar.engines.native.paged import PagedBatch
from instar.engines.native.pages import Pages
from instar.engines.native.sequence_state import samples_at_once
from instar.engines.scheduler.backend import Score
from instar.engines.scheduler.limits import Limits
from instar.engines.scheduler.local import LocalEngine
from instar.errors import ModelError
from instar.model_folder.adapter import Adapter
from instar.protocols import ArtefactStore


class NativeEngine(LocalEngine):
    """Answers for policies of place ``artefact`` whose weights are a Llama (see ``llama.Shape``).

    Precisions: ``f32`` (weights, arithmetic and cache: exams) and ``bf16`` (on AMX, sums in f32); ``sample_precision``
    "auto" is bf16 where the processor has AMX, else f32. Up to ``rows`` samples run side by side, in ``cache_gb`` of
    key/value cache, which also keeps the beginnings of earlier prompts; the rest wait. At temperature 0 an ask for
    ``n`` gives ``n`` copies of the one greedy reply. An adapter is added to the weights as they are loaded, in float32,
    so every adapter in use takes the memory of the whole weights.

    Raises ModelError where the machine cannot run it (``build.why_not``).
    """

    name = "native"
    batch_invariant = True
    concurrency = 256
    precisions = PRECISIONS

    def __init__(
        self,
        artefacts: ArtefactStore,
        scratch: Path | None = None,
        *,
        resident_max: int = 1,
        rows: int = 256,
        cache_gb: float = 2,
        exam_precision: str = "f32",
        sample_precision: str = "auto",
    ) -> None:
        super().__init__(
            artefacts,
            resident_max=resident_max,
            rows=rows,
            cache_gb=cache_gb,
            exam_precision=exam_precision,
            sample_precision=sample_precision,
        )
        for precision in {exam_precision, self.precision_for("sample")}:
            if (missing := build.why_not(precision)) is not None:
                raise ModelError(missing, "Use engine openvino or transformers.")

    def _load(self, folder: Path, precision: str, adapter: Adapter | None) -> NativeBackend:
        return NativeBackend(Llama(folder, precision, self._limits.cache_gb, adapter=adapter), self._limits)

    def _best_for_sampling(self) -> str:
        return "bf16" if build.why_not("bf16") is None else "f32"


class NativeBackend:
    """One Llama in memory, as a worker drives it."""

    def __init__(self, llama: Llama, limits: Limits) -> None:
        self._llama, self._rows = llama, limits.rows
        self.context, self.vocab_size = llama.shape.context, llama.shape.vocab
        self.cache_tokens = llama.pages * PAGE
        self._pages = Pages(llama.pages)

    def samples_at_once(self, prompt: int, reply: int) -> int:
        """How many samples of one ask an empty batch can hold; 0 if not even one."""
        return samples_at_once(prompt, reply, self._llama.pages, self._rows)

    def batch(self, stop_ids: Sequence[int]) -> PagedBatch:
        """An empty batch. The cache is one: use one batch at a time."""
        self._pages = Pages(self._llama.pages)
        return PagedBatch(self._llama, stop_ids, self._rows, self._pages)

    def serving(self) -> AbstractContextManager[object]:
        """Nothing to stay inside."""
        return nullcontext()

    def scorable(self, waiting: Sequence[Score]) -> int:
        """As many as a step may read and the pages hold that nobody is promised; none while there is no room."""
        return paged_scoring.fitting(waiting, self._pages.headroom)

    def score(self, wanted: Sequence[Score]) -> None:
        """Resolve these, beside those under way."""
        paged_scoring.score(self._llama, self._pages, wanted)

    def close(self) -> None:
        """Give the memory back."""
        self._llama.close()
