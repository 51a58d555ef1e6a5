"""The second of two passes, for a loss whose gradient is known once all log-probabilities are: a weighted sum of them.

A loss of pairs or of whole answers cannot be taken of a few tokens at a time. But its gradient is that of the sum of
``c * log p`` over the answer tokens, with c the loss's own derivative by each log-probability, held constant. So: a
first pass without a graph (``Trainer.logps``), the derivatives (in closed form, or by autograd over numbers alone), a
second pass with this loss. No more than one pass's activations are ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from instar.update.weights.trainer.trainer import Part


def weighted(coefficients: Sequence[torch.Tensor]) -> Part:
    """The sum of the log-probabilities times these, a tensor a pass, one entry an answer token."""

    def part(i: int, logps: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
        return (coefficients[i][entries] * logps).sum()

    return part


def derivatives(
    loss: Callable[[torch.Tensor], torch.Tensor], logps: Sequence[torch.Tensor]
) -> tuple[float, list[torch.Tensor]]:
    """A loss of all answer tokens' log-probabilities at once [A], in the order of the passes: its value, and its
    derivative by each of them, a tensor a pass."""
    import torch

    given = torch.cat(list(logps)).requires_grad_()
    value = loss(given)
    (found,) = torch.autograd.grad(value, given)
    return float(value.detach()), list(torch.split(found, [len(part) for part in logps]))
