"""When a training call writes its checkpoints, and that it goes on meanwhile.

A checkpoint is written beside the training where there is memory for a copy of what it holds; where there is not, the
training waits. Nothing is written when nothing changed since the last one, which stays until the next is whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from instar.protocols import UpdateContext
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.checkpoint import Checkpoint
from instar.update.weights.trainer.hardware import free_memory

if TYPE_CHECKING:
    import torch


class Keeper:
    """The checkpoints of one call: those that ``belongs`` names. Use it in a ``with``: it waits for what it writes."""

    def __init__(self, context: UpdateContext, belongs: str, seconds: float, steps: int | None) -> None:
        self.context, self.belongs, self.seconds, self.steps = context, belongs, seconds, steps
        self.kept = 0
        """How far the newest checkpoint is."""
        self._last = time.monotonic()
        self.version: Any = None
        """What tells the weights of the newest checkpoint, or those that training began with, from others."""
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._job: Future[Any] | None = None

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._thread.shutdown()

    def read(self, total: int) -> Checkpoint | None:
        """The checkpoint to go on from, if one is there. Raises StoreError for a damaged one."""
        with self.context.timed("checkpoint"):
            found = checkpoint.read(self.context.scratch)
            if found is None or found.belongs == self.belongs:
                self.kept = found.step if found else 0
                return found
            # it cannot be: scratch belongs to one call; but it must never be trained on
            checkpoint.clear(self.context.scratch)
            self.context.progress(0, total, note="a checkpoint of other data, settings or device was set aside")
            return None

    def due(self, done: int) -> bool:
        """Whether it is time for a checkpoint."""
        if self.steps is not None and done - self.kept >= self.steps:
            return True
        return time.monotonic() - self._last >= self.seconds

    def keep(
        self, done: int, version: Any, history: dict[str, Any], state: Callable[[], dict[str, torch.Tensor]]
    ) -> None:
        """Write how it stands after ``done``, unless ``version``, which tells weights apart, is that of the newest
        checkpoint. Raises StoreError if the disk refused this one or the one before."""
        self.wait()
        if version == self.version:
            return
        with self.context.timed("checkpoint"):
            tensors = state()
            made = Checkpoint(done, self.belongs, deepcopy(history), tensors)
            if copied := _copied(tensors):
                made = made._replace(tensors=copied)
                self._job = self._thread.submit(checkpoint.write, self.context.scratch, made)
            else:
                checkpoint.write(self.context.scratch, made)
        self.version, self.kept, self._last = version, done, time.monotonic()

    def wait(self) -> None:
        """Until the checkpoint that is being written is whole. Raises StoreError if the disk refused it."""
        job, self._job = self._job, None
        if job is not None:
            with self.context.timed("checkpoint"):
                job.result()


def _copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """The same numbers, which training on does not change; None where memory for them would be missed."""
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    if free_memory() < 3 * size:
        return None
    return {name: t.clone() for name, t in tensors.items()}
