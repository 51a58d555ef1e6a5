"""The loss of supervised fine-tuning: the cross-entropy of the answer tokens, averaged over those of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from instar.update.weights.trainer.trainer import Part


def cross_entropy(answers: int) -> Part:
    """Less the mean log-probability of a step's ``answers`` tokens. Each pass adds its *sum* over that number, so
    cutting a step into passes changes nothing but rounding."""

    def part(_: int, logps: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
        return -logps.sum() / answers

    return part
