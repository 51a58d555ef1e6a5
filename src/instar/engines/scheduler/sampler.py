"""Which token comes next, for many rows at once: greedy, or drawn with the row's own number.

A drawn row uses one uniform number a token (the inverse of the cumulative distribution, in the order of the
vocabulary), not a draw for every word: what a row says depends on its logits and its own generator, never on who shares
the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from instar.records import Sampling

if TYPE_CHECKING:
    import torch

BROKEN = -1
"""In place of a token where the logits are not numbers."""
_BLOCK = 64


class Draws:
    """The uniform numbers of one sample: a function of the ask's seed and the sample's place in the ask."""

    def __init__(self, seed: int, index: int) -> None:
        import torch

        hashed = int.from_bytes(hashlib.sha256(f"{seed}|{index}".encode()).digest()[:8])
        self._generator = torch.Generator().manual_seed(hashed % 2**63)
        self._block: list[float] = []

    def next(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            import torch

            self._block = torch.rand(_BLOCK, generator=self._generator, dtype=torch.float64).tolist()[::-1]
        return self._block.pop()


def pick(logits: torch.Tensor, samplings: Sequence[Sampling], draws: Sequence[Draws]) -> list[int]:
    """One token id a row of ``logits`` [rows, vocabulary] (float32); BROKEN where they are not numbers.

    Rows of equal sampling are worked on together; ``max_tokens`` does not matter here.
    """
    groups: dict[tuple[float, int | None, float], list[int]] = {}
    for i, s in enumerate(samplings):
        groups.setdefault((s.temperature, s.top_k, s.top_p) if s.temperature else (0.0, None, 1.0), []).append(i)
    out = [BROKEN] * len(samplings)
    largest = logits.amax(-1)
    finite = largest.isfinite().tolist()
    if not all(finite):
        logits = logits.masked_fill(~largest.isfinite().unsqueeze(-1), 0.0)  # drawn from all the same, then refused
    for (temperature, top_k, top_p), rows in groups.items():
        mine = logits if len(rows) == len(out) else logits[rows]
        if temperature == 0:
            tokens = mine.argmax(-1)
        else:
            tokens = _drawn(mine, temperature, top_k, top_p, [draws[i].next() for i in rows])
        for i, token in zip(rows, tokens.tolist(), strict=True):
            out[i] = token if finite[i] else BROKEN
    return out


def _drawn(logits: Any, temperature: float, top_k: int | None, top_p: float, numbers: list[float]) -> torch.Tensor:
    """Temperature, then top-k, then top-p (the order of transformers), then the draw."""
    import torch

    words = None
    if top_k is not None and top_k < logits.shape[-1]:
        # back into the order of the vocabulary: two words that nearly tie must not trade places in the sum
        words = logits.topk(top_k, dim=-1, sorted=False).indices.sort(-1).values
        logits = logits.gather(-1, words)
    scores = logits.double()
    # the largest becomes 0 first: a tiny temperature would otherwise overflow
    chances = ((scores - scores.amax(-1, keepdim=True)) / temperature).softmax(-1)
    if top_p < 1:
        ordered = chances.sort(-1, descending=True).values
        before = ordered.cumsum(-1) - ordered
        least = ordered.masked_fill(before >= top_p, 2.0).amin(-1, keepdim=True)
        chances = chances.masked_fill(chances < least, 0.0)
    sums = chances.cumsum(-1)
    total = sums[:, -1:]
    drawn = torch.tensor(numbers, dtype=torch.float64, device=sums.device).unsqueeze(-1) * total
    place = torch.searchsorted(sums, drawn, right=True)
    # rounding can carry the drawn number to the total itself: the last word with any chance is then meant
    last = torch.searchsorted(sums, total.contiguous(), right=False)
    place = torch.minimum(place, last)
    return (place if words is None else words.gather(-1, place)).squeeze(-1)
