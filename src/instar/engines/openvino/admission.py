"""Which prompts should wait a moment, so that the beginning they share with another is read once and not many times.

openvino keeps what it has read of a prompt in blocks and finds them again for a later prompt with the same beginning,
but only where the blocks are finished when the later prompt *arrives*. A run asks hundreds of questions at once, all
with one system prompt: without a wait each would read it for itself. A prompt that is longer than a step takes is being
read for several steps. Only a hint: a wrong guess costs a step or reads a beginning twice, and changes no reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 32
"""Tokens in one of the CPU plugin's cache blocks; only whole blocks are found again."""
MOST = 200_000
"""Blocks remembered, before we forget and begin anew (openvino's own cache holds far fewer)."""


class Admission:
    """What one pipeline has read, and what it is reading: a long prompt takes several steps, the first come first."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._reading: list[_Reading] = []

    def may_start(self, ids: Sequence[int]) -> bool:
        """Whether to read this prompt from the coming step on; False while another one reads its beginning."""
        chain = _chain(ids)
        if any(not part.blocks.isdisjoint(chain) for part in self._reading):
            return False
        fresh = set(chain) - self._read
        self._reading.append(_Reading(fresh, len(ids) - BLOCK * (len(chain) - len(fresh))))
        return True

    def stepped(self, room: int) -> None:
        """A step is over that had ``room`` for so many tokens of prompts. What was read whole can be found."""
        if len(self._read) > MOST:
            self._read.clear()
        for part in self._reading:
            taken = min(part.tokens, room)
            part.tokens -= taken
            room -= taken
            if not part.tokens:
                self._read |= part.blocks
        self._reading = [part for part in self._reading if part.tokens]

    @property
    def reading(self) -> int:
        """How many prompts are being read."""
        return len(self._reading)


@dataclass
class _Reading:
    """A prompt that is being read: its blocks that are new, and how many of its tokens are left."""

    blocks: set[int]
    tokens: int


def _chain(ids: Sequence[int]) -> list[int]:
    """One number for the beginning up to each whole block. The last token is always read again: it gives the first
    logits."""
    chain, so_far = [], 0
    for end in range(BLOCK, len(ids), BLOCK):
        so_far = hash((so_far, *ids[end - BLOCK : end]))
        chain.append(so_far)
    return chain
