"""Which prompts should wait a moment, so that the beginning they share with another is read once and not many times.

openvino keeps what it has read of a prompt in blocks and finds them again for a later prompt with the same beginning,
but only where the blocks are finished when the later prompt *arrives*. A run asks hundreds of questions at once, all
with one system prompt: without a wait each would read it for itself. Only a hint: a wrong guess costs one step or reads
a beginning twice, and changes no reply.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK = 32
"""Tokens in one of the CPU plugin's cache blocks; only whole blocks are found again."""
MOST = 200_000
"""Blocks remembered, before we forget and begin anew (openvino's own cache holds far fewer)."""


class Admission:
    """What one pipeline has read, and what it is reading in the step to come."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._reading: set[int] = set()

    def may_start(self, ids: Sequence[int]) -> bool:
        """Whether to read this prompt in the coming step; False if another one is about to read its beginning."""
        chain = _chain(ids)
        if not self._reading.isdisjoint(chain):
            return False
        self._reading.update(set(chain) - self._read)
        return True

    def stepped(self) -> None:
        """The step is over: what was being read can be found."""
        if len(self._read) > MOST:
            self._read.clear()
        self._read |= self._reading
        self._reading.clear()


def _chain(ids: Sequence[int]) -> list[int]:
    """One number for the beginning up to each whole block. The last token is always read again: it gives the first
    logits."""
    chain, so_far = [], 0
    for end in range(BLOCK, len(ids), BLOCK):
        so_far = hash((so_far, *ids[end - BLOCK : end]))
        chain.append(so_far)
    return chain
