"""One request to a loaded model: a prompt, how many continuations, and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from instar.records import Finish, Sampling

Answer = tuple[tuple[int, ...], Finish]
"""Token ids of one continuation, and why it ended."""

OnIds = Callable[[list[int]], None]
"""Hears all token ids of a continuation so far."""


@dataclass(eq=False)
class Request:
    """``n`` continuations of one prompt, no more than a batch holds at once. ``cancelled`` is set by whoever waits no
    longer."""

    ids: list[int]
    n: int
    sampling: Sampling
    seed: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Answer]]
    cancelled: bool = False
    handle: Any = field(default=None, repr=False)
    on_ids: OnIds | None = None
    """Called in the loop that asked, with all token ids so far, while one continuation (``n`` is 1) is written."""
    so_far: list[int] = field(default_factory=list)
    reason: Any = field(default=None, repr=False)
    """Why openvino says that the continuation ended, or that it goes on."""
    first: int = 0
    """Which of the samples of its ask is its first: an ask for more than one batch holds comes in several requests."""
    outputs: dict[int, Answer] = field(default_factory=dict)
    """Those of its samples that are done."""

    @property
    def reach(self) -> int:
        """Tokens a row of it can come to."""
        return len(self.ids) + self.sampling.max_tokens

    def tell(self, fresh: Sequence[int]) -> None:
        """More token ids of the one continuation. From the engine's thread."""
        self.so_far += fresh
        if self.on_ids is not None and fresh:
            try:
                self.loop.call_soon_threadsafe(self.on_ids, list(self.so_far))
            except RuntimeError:  # the loop is gone
                self.cancelled = True

    def resolve(self, value: list[Answer] | Exception) -> None:
        """Hand the outcome to the loop that asked. A loop that is gone, or a waiter that left, is no error."""

        def settle() -> None:
            if self.answer.done():
                return
            if isinstance(value, Exception):
                self.answer.set_exception(value)
            else:
                self.answer.set_result(value)

        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:
            self.cancelled = True
