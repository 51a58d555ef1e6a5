"""A running batch: rows of one model side by side, padded on their left; new asks join it, finished rows leave it.

A prompt is read once, however many samples are wanted of it: its cache is copied. The cache is one tensor a layer over
all rows, so leaving and joining copy it; both therefore wait until it is worth it (an eighth, a quarter of the rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instar.engines.hf.model import HfModel
from instar.engines.scheduler.request import Request
from instar.engines.scheduler.sampler import BROKEN, Draws, pick
from instar.engines.scheduler.validation import not_numbers
from instar.records import Finish

if TYPE_CHECKING:
    import torch

PREFILL = 4096
"""Tokens of prompts read in one pass, padding included (one prompt alone may be longer)."""


@dataclass(eq=False)
class Row:
    """One sample on its way."""

    request: Request
    index: int
    draws: Draws
    out: list[int] = field(default_factory=list)
    done: bool = False


class Batch:
    """All rows under way. Used by one thread, inside ``torch.inference_mode``."""

    def __init__(self, model: HfModel, stop_ids: Sequence[int], rows: int, cache_tokens: int) -> None:
        self._model, self._stop, self._most, self._cache_tokens = model, frozenset(stop_ids), rows, cache_tokens
        self.rows: list[Row] = []
        self._cache: Any = None
        self._mask: torch.Tensor | None = None

    def admits(self, fresh: Sequence[Request], request: Request) -> bool:
        """Whether ``request`` may join together with ``fresh``. An empty batch takes any."""
        live = [r for r in self.rows if not r.done]
        if not live and not fresh:
            return True
        taken = len(live) + sum(p.n for p in fresh)
        if not fresh and live and self._most - taken < self._most // 4:
            return False  # too few free rows to be worth a copy of the cache
        longest = max([r.request.reach for r in live] + [p.reach for p in fresh] + [request.reach])
        return taken + request.n <= self._most and (taken + request.n) * longest <= self._cache_tokens

    def join(self, requests: Sequence[Request]) -> None:
        """Read the prompts, take every sample's first token, and let the rows join those under way."""
        self.compact(force=True)
        for chunk in _chunks(sorted(requests, key=lambda p: len(p.ids))):
            self._join(chunk)
        self.compact()

    def step(self) -> None:
        """One token more for each row."""
        import torch

        assert self._mask is not None
        last = [r.out[-1] if r.out else 0 for r in self.rows]
        ids = torch.tensor(last, device=self._model.device).unsqueeze(-1)
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=-1)
        logits = self._model.forward(ids, self._mask, self._cache)[:, -1]
        self._take(self.rows, logits)
        self.compact()

    def compact(self, *, force: bool = False) -> None:
        """Take finished rows and those nobody waits for out of the cache, when there are enough of them."""
        for row in self.rows:
            row.done = row.done or row.request.cancelled
        kept = [i for i, r in enumerate(self.rows) if not r.done]
        gone = len(self.rows) - len(kept)
        if not gone or (kept and not force and gone * 8 < len(self.rows)):
            return
        self.rows = [self.rows[i] for i in kept]
        if not kept:
            self._cache = self._mask = None
            return
        import torch

        assert self._mask is not None
        where = torch.tensor(kept, device=self._mask.device)
        mask = self._mask[where]
        start = int(mask.any(0).int().argmax())  # columns that are padding in every row that stays
        self._mask = mask[:, start:].contiguous()
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys[where][:, :, start:].contiguous()
                layer.values = layer.values[where][:, :, start:].contiguous()

    def _join(self, requests: Sequence[Request]) -> None:
        import torch

        ids, mask = padded([p.ids for p in requests], self._model.device)
        cache = self._model.new_cache()
        logits = self._model.forward(ids, mask, cache)[:, -1]
        fresh = [Row(p, i, Draws(p.seed, p.first + i)) for p in requests for i in range(p.n)]
        if len(fresh) > len(requests):
            times = torch.tensor([p.n for p in requests], device=self._model.device)
            logits, mask = logits.repeat_interleave(times, 0), mask.repeat_interleave(times, 0)
            for layer in cache.layers:
                if layer.is_initialized:
                    layer.keys = layer.keys.repeat_interleave(times, 0)
                    layer.values = layer.values.repeat_interleave(times, 0)
        self._take(fresh, logits)
        if self._mask is None:
            self.rows, self._cache, self._mask = fresh, cache, mask
            return
        width = max(self._mask.shape[1], mask.shape[1])
        for old, new in zip(self._cache.layers, cache.layers, strict=True):
            if old.is_initialized:
                old.keys = torch.cat([_widened(old.keys, width, 2), _widened(new.keys, width, 2)])
                old.values = torch.cat([_widened(old.values, width, 2), _widened(new.values, width, 2)])
        self._mask = torch.cat([_widened(self._mask, width, 1), _widened(mask, width, 1)])
        self.rows = [*self.rows, *fresh]

    def _take(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        live = [i for i, r in enumerate(rows) if not r.done]
        if len(live) < len(rows):
            logits = logits[live]
        mine = [rows[i] for i in live]
        for row, token in zip(
            mine, pick(logits, [r.request.sampling for r in mine], [r.draws for r in mine]), strict=True
        ):
            request = row.request
            if token == BROKEN:
                row.done = request.cancelled = True
                request.resolve(not_numbers())
                continue
            row.out.append(token)
            if request.on_ids is not None:
                request.tell([token])
            stopped = token in self._stop
            if stopped or len(row.out) >= request.sampling.max_tokens:
                row.done = True
                request.outputs[row.index] = (tuple(row.out), Finish.stop if stopped else Finish.length)
                if len(request.outputs) == request.n:
                    request.resolve([request.outputs[i] for i in range(request.n)])


def padded(rows: Sequence[Sequence[int]], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of rows laid flush right. What stands in the padding is token 0: the mask hides it."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(r)) + list(r) for r in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    return ids, mask


def _chunks(requests: Sequence[Request]) -> list[list[Request]]:
    """Prompts in order of length, cut where one pass would hold too many tokens."""
    out: list[list[Request]] = []
    for request in requests:
        if out and (len(out[-1]) + 1) * len(request.ids) <= PREFILL:
            out[-1].append(request)
        else:
            out.append([request])
    return out


def _widened(x: torch.Tensor, width: int, axis: int) -> torch.Tensor:
    """Zeros put before what is there along ``axis``, until it is ``width`` wide."""
    import torch

    lack = width - x.shape[axis]
    if lack == 0:
        return x
    shape = list(x.shape)
    shape[axis] = lack
    return torch.cat([x.new_zeros(shape), x], dim=axis)
