"""The transformers engine: any causal language model in an artefact folder, on a CPU or a GPU.

It keeps at most ``resident_max`` sets of weights loaded and answers for every policy that has those weights, whatever
its prompt. Each sample draws from a generator of its own, so it depends on the batch around it only through float
rounding; near-ties then flip, so it is *not* batch-invariant.
"""

from __future__ import annotations

from pathlib import Path

from instar.engines.hf.backend import HfBackend
from instar.engines.hf.model import PRECISIONS, device_of, gpu_driver, need_torch, sampling_precision
from instar.engines.scheduler.limits import Limits
from instar.engines.scheduler.local import LocalEngine
from instar.errors import EngineError
from instar.model_folder.adapter import Adapter
from instar.protocols import ArtefactStore

ROWS, CACHE_GB = 64, 2.0
ROWS_ON_A_GPU, SHARE_OF_A_GPU = 512, 0.3


class TransformersEngine(LocalEngine):
    """Answers for policies of place ``artefact``: GPT-NeoX, Gemma, Qwen, Llama, ... with attention layers only.

    Precisions: ``f32`` (exams) and ``bf16``; ``sample_precision`` "auto" is bf16 on a GPU or CPU that multiplies it in
    hardware, else f32. Up to ``rows`` samples run side by side (64; on a GPU, where a step takes as long for few as for
    many, 512), in at most ``cache_gb`` of key/value cache (2; on a GPU 0.3 of what is free); the rest wait. At
    temperature 0 an ask for ``n`` gives ``n`` copies of the one greedy reply. ``trust_remote_code`` runs the Python
    code that a model folder brings: only for code you have read. When another policy is asked and the house is full,
    the least recently used idle one leaves; if none is idle, the ask waits until one is. Adapters on the same weights
    share them: one more takes the memory of its own matrices.

    ``device`` "auto" is a GPU where torch sees one. float32 is float32 there, not TF32. transformers' own continuous
    batching is not used: it draws from one generator for all requests, so a reply would hang on who shares the batch.

    The same ask with the same seed, alone, gives the same replies in f32. In bf16 it nearly always does: it was seen to
    differ once, and why was not found. The journal keeps what was said, so a resumed run does not ask again.
    """

    name = "transformers"
    batch_invariant = False
    precisions = PRECISIONS

    def __init__(
        self,
        artefacts: ArtefactStore,
        scratch: Path | None = None,
        *,
        device: str = "auto",
        resident_max: int = 1,
        rows: int | None = None,
        cache_gb: float | None = None,
        exam_precision: str = "f32",
        sample_precision: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        usual = _usual(device) if rows is None or cache_gb is None else Limits(ROWS, CACHE_GB)
        rows, cache_gb = usual.rows if rows is None else rows, usual.cache_gb if cache_gb is None else cache_gb
        super().__init__(
            artefacts,
            resident_max=resident_max,
            rows=rows,
            cache_gb=cache_gb,
            exam_precision=exam_precision,
            sample_precision=sample_precision,
        )
        if not isinstance(trust_remote_code, bool):
            raise EngineError(f"trust_remote_code is {trust_remote_code!r}.", "It is true or false.")
        self.concurrency = 2 * rows  # a full batch, and the next asks at hand when rows leave it
        self._asked_device, self._trust = device, trust_remote_code

    def _load(self, folder: Path, precision: str, adapter: Adapter | None) -> HfBackend:
        device = device_of(self._asked_device)
        return HfBackend.load(folder, precision, device, self._trust, self._limits, adapter)

    def _best_for_sampling(self) -> str:
        return sampling_precision(device_of(self._asked_device))


def _usual(device: str) -> Limits:
    """What an engine takes by itself. torch, which says what a GPU has free, takes seconds to import: it is asked only
    where there may be one."""
    if device == "cpu" or not gpu_driver():
        return Limits(ROWS, CACHE_GB)
    torch = need_torch()
    if not torch.cuda.is_available():
        return Limits(ROWS, CACHE_GB)
    return Limits(ROWS_ON_A_GPU, max(CACHE_GB, SHARE_OF_A_GPU * torch.cuda.mem_get_info()[0] / 2**30))
