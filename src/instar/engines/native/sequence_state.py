"""A request as a paged batch sees it: its prompt in pages, and what it can come to need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from instar.engines.native.llama import PAGE, Ints
from instar.engines.native.pages import Digest, chain
from instar.engines.scheduler.request import Request


@dataclass(eq=False)
class SequenceState:
    """A request on its way. ``own`` pages each of its samples can come to fill, ``pages`` hold the prompt for all."""

    request: Request
    ids: Ints
    chain: list[Digest]
    own: int
    slots: Ints = field(default_factory=lambda: np.empty(0, np.int32))
    pages: list[int] = field(default_factory=list)
    rest: int | None = None
    """The page of the prompt's end, where it does not fill it, until a sample takes it over."""
    read: int = 0
    left: int = 0

    @classmethod
    def of(cls, request: Request) -> SequenceState:
        """Of a request that has not joined yet."""
        ids = np.array(request.ids, np.int32)
        return cls(request, ids, chain(ids), own_pages(len(ids), request.sampling.max_tokens), left=request.n)

    @property
    def needs(self) -> int:
        """Pages at the most."""
        return len(self.chain) + self.request.n * self.own

    @property
    def findable(self) -> list[Digest]:
        """The last token is always read: it gives the first logits."""
        return self.chain[: (len(self.ids) - 1) // PAGE]


def state_of(request: Request) -> SequenceState:
    """Worked out once, however often the request is looked at before it may join."""
    if not isinstance(request.handle, SequenceState):
        request.handle = SequenceState.of(request)
    return request.handle


def own_pages(prompt: int, reply: int) -> int:
    """Pages that one sample can fill beyond the whole pages of its prompt. Its last token is never read."""
    return -(-(prompt + reply - 1) // PAGE) - prompt // PAGE


def samples_at_once(prompt: int, reply: int, pages: int, rows: int) -> int:
    """How many samples of one prompt an empty batch can hold."""
    whole, own = prompt // PAGE, own_pages(prompt, reply)
    if whole > pages:
        return 0
    return min(rows, (pages - whole) // own) if own else rows


def draw_key(seed: int, index: int) -> int:
    """Where the numbers of one sample come from: the ask's seed and the sample's place in the ask."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{index}".encode()).digest()[:8])
