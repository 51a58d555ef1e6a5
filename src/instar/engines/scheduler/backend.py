"""What a worker needs of weights in memory, whichever kernels run them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from instar.engines.scheduler.request import Request


@dataclass(eq=False)
class Score:
    """An answer whose log-probabilities are wanted."""

    ids: list[int]
    answer: list[int]
    future: Future[list[float]] = field(default_factory=Future)

    def fail(self, error: Exception) -> None:
        """Hand the error to whoever waits, unless there is an answer."""
        if not self.future.done():
            self.future.set_exception(error)


class RunningBatch(Protocol):
    """Samples under way: some join, all take a step, those that are done leave."""

    @property
    def rows(self) -> Sequence[object]:
        """What is under way; empty when there is nothing to step."""
        ...

    def admits(self, fresh: Sequence[Request], request: Request) -> bool:
        """Whether ``request`` may join together with ``fresh``. An empty batch takes any that fits at all."""
        ...

    def join(self, requests: Sequence[Request]) -> None: ...

    def step(self) -> None:
        """One token more for each row; requests whose samples are all done are resolved."""
        ...

    def compact(self) -> None:
        """Let those go that nobody waits for any more."""
        ...


class Backend(Protocol):
    """Weights in memory. Used by one thread, inside ``serving``."""

    @property
    def context(self) -> int | None:
        """Positions of the model (None: its config names none)."""
        ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def cache_tokens(self) -> int:
        """Tokens that its cache holds."""
        ...

    def samples_at_once(self, prompt: int, reply: int) -> int:
        """How many samples of one ask an empty batch can hold; 0 if not even one."""
        ...

    def batch(self, stop_ids: Sequence[int]) -> RunningBatch: ...

    def serving(self) -> AbstractContextManager[object]: ...

    def scorable(self, waiting: Sequence[Score]) -> int:
        """How many of the waiting answers one pass takes: at least one where nothing is under way."""
        ...

    def score(self, wanted: Sequence[Score]) -> None:
        """Resolve these."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...
