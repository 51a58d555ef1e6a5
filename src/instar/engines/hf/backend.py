"""Weights that transformers runs, as a worker drives them: batches of padded rows, and answers that are scored."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

from instar.engines.hf.batch import PREFILL, Batch, padded
from instar.engines.hf.model import BYTES, HfModel, need_torch
from instar.engines.scheduler.backend import Score
from instar.engines.scheduler.limits import Limits
from instar.engines.scheduler.validation import not_numbers
from instar.model_folder.adapter import Adapter

LOGITS = 2**26
"""Logits held at once: 256 MB in float32."""


class HfBackend:
    """One loaded model, and what it may take."""

    def __init__(self, model: HfModel, limits: Limits) -> None:
        self._model: HfModel | None = model
        self._limits = limits
        self.context, self.vocab_size = model.context, model.vocab_size
        self.cache_tokens = int(limits.cache_gb * 2**30 / (model.values_per_token * BYTES[model.precision]))

    @classmethod
    def load(
        cls, folder: Path, precision: str, device: str, trust_remote_code: bool, limits: Limits,
        adapter: Adapter | None = None,
    ) -> HfBackend:  # fmt: skip
        """The model of a folder, with an adapter on it. Raises ModelError as ``HfModel`` does."""
        return cls(HfModel(folder, precision, device, trust_remote_code, adapter), limits)

    def samples_at_once(self, prompt: int, reply: int) -> int:
        """How many samples of one ask an empty batch can hold; 0 if not even one."""
        return min(self._limits.rows, self.cache_tokens // (prompt + reply))

    def batch(self, stop_ids: Sequence[int]) -> Batch:
        """An empty batch."""
        return Batch(self._held(), stop_ids, self._limits.rows, self.cache_tokens)

    def serving(self) -> AbstractContextManager[object]:
        """What the worker's thread stays inside: nothing here is ever differentiated."""
        mode: AbstractContextManager[object] = need_torch().inference_mode()
        return mode

    def scorable(self, waiting: Sequence[Score]) -> int:
        """As many as a prompt pass may hold, one at least."""
        width = taken = 0
        for score in waiting:
            width = max(width, len(score.ids) + len(score.answer))
            if taken and (taken + 1) * width > PREFILL:
                break
            taken += 1
        return taken

    def score(self, wanted: Sequence[Score]) -> None:
        """Resolve these, in one pass; a long one in pieces, so that its logits need never be held all at once."""
        import torch

        model = self._held()
        ids, mask = padded([s.ids + s.answer[:-1] for s in wanted], model.device)
        targets, _ = padded([s.answer for s in wanted], model.device)
        width, longest = ids.shape[1], targets.shape[1]
        piece = max(1, LOGITS // (model.vocab_size * len(wanted)))
        begin, cache = width - longest, model.new_cache() if longest > piece else None
        ends = [begin + 1, *range(begin + 1 + piece, width, piece), width] if cache is not None else [width]
        found = torch.empty(targets.shape, dtype=torch.float64)
        for start, end in pairwise([0, *ends]):
            keep = min(longest, end - start) if cache is None else 1 if start == 0 else end - start
            logits = model.forward(ids[:, start:end], mask[:, :end], cache, keep)
            at = slice(end - keep - begin, end - begin)
            # the last kept place before a token predicts it; places of shorter answers in the padding are left out
            chosen = logits.gather(-1, targets[:, at].unsqueeze(-1)).squeeze(-1)
            found[:, at] = (chosen.double() - logits.logsumexp(-1).double()).cpu()
        for values, score in zip(found.tolist(), wanted, strict=True):
            mine = values[longest - len(score.answer) :]
            if all(map(math.isfinite, mine)):
                score.future.set_result(mine)
            else:
                score.fail(not_numbers())

    def close(self) -> None:
        """Give the memory back, a GPU's too."""
        self._model = None
        gc.collect()
        torch = need_torch()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _held(self) -> HfModel:
        assert self._model is not None
        return self._model
