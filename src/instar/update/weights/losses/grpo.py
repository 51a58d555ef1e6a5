"""The loss of group policy gradients: advantages within a group, the clipped surrogate, and how tokens are averaged.

Papers: GRPO, arXiv 2402.03300 (``grpo``); DAPO, arXiv 2503.14476 (``dapo``, clipping higher than lower); Dr. GRPO,
arXiv 2503.20783 (``dr_grpo``). The names, and value and gradient for the same tokens, are those of TRL's GRPOTrainer
1.16 (tests/update/fixtures). Answers without signal need not go through the model: their surrogate's gradient is zero,
and they count in every average as if they had.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

LossType = Literal["grpo", "bnpo", "dr_grpo", "dapo"]
SPREAD = 1e-4
"""Added to a group's standard deviation, as TRL does."""


def advantages(rewards: Sequence[float], *, scaled: bool) -> list[float]:
    """Each answer's reward less its group's mean, over the group's standard deviation (n - 1) if ``scaled``.

    All zeros for a group that is all alike, or that has a single answer.
    """
    if len(rewards) < 2 or max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    less = [r - mean for r in rewards]
    if not scaled:
        return less
    spread = math.sqrt(math.fsum(x * x for x in less) / (len(rewards) - 1))
    return [x / (spread + SPREAD) for x in less]


def step_advantages(
    rewards: Sequence[float], labels: Sequence[Sequence[int]], *, weight: float, scaled: bool
) -> list[list[float]]:
    """The advantage of each step of each answer of a group: what its own label and all that came after it are worth.

    AgentEvolver, arXiv 2511.10395 (self-attributing): labels (1, -1; 0 is not known and counts for nothing) are set
    apart from the rewards, less their mean over their deviation over the group's steps; a step's worth is ``weight``
    times its label, and for the last step the answer's ``advantages`` besides; its advantage is the sum from it to the
    end. With labels that are all alike every step has its answer's advantage.
    """
    known = [float(x) for steps in labels for x in steps if x]
    worth = iter(advantages(known, scaled=True))
    made = []
    for advantage, steps in zip(advantages(rewards, scaled=scaled), labels, strict=True):
        own = [weight * next(worth) if x else 0.0 for x in steps]
        sums = list(itertools.accumulate(reversed(own), initial=advantage))[1:]
        made.append(sums[::-1])
    return made


def token_weights(loss_type: LossType, lengths: Sequence[int], longest: Sequence[int]) -> list[float]:
    """What one token of each answer weighs in the loss of one optimiser step.

    ``lengths`` are the answers' tokens, ``longest`` the most tokens each was allowed; both for *all* answers of the
    step, with and without signal. ``grpo``: the mean over answers of each answer's mean. ``bnpo`` and ``dapo``: the
    mean over all tokens of the step (TRL's ``bnpo`` divides by the tokens of a micro-batch; here a step is one).
    ``dr_grpo``: the sum over the most tokens that could have been.
    """
    n = len(lengths)
    if loss_type == "grpo":
        return [1.0 / (n * max(length, 1)) for length in lengths]
    if loss_type == "dr_grpo":
        return [1.0 / (n * most) for most in longest]
    return [1.0 / max(sum(lengths), 1)] * n


class Clip(NamedTuple):
    """How far the importance ratio counts: from ``1 - low`` to ``1 + high``."""

    low: float
    high: float


class LossInputs(NamedTuple):
    """One entry an answer token [A], in the order of the log-probabilities that it belongs to."""

    advantage: torch.Tensor
    weight: torch.Tensor
    old: torch.Tensor | None
    """Log-probabilities under the weights that sampled; None: under the present ones (the ratio is 1)."""
    reference: torch.Tensor | None
    """Log-probabilities under the policy that the update began with; needed if ``beta`` is not 0."""

    def at(self, entries: torch.Tensor) -> LossInputs:
        """What these answer tokens [n] are told."""
        old = self.old[entries] if self.old is not None else None
        reference = self.reference[entries] if self.reference is not None else None
        return LossInputs(self.advantage[entries], self.weight[entries], old, reference)


def surrogate(logps: torch.Tensor, inputs: LossInputs, clip: Clip, beta: float) -> torch.Tensor:
    """The loss, a scalar: less is better. ``logps`` [A] are the present weights' log-probabilities, with gradient.

    ``beta`` weighs the estimate ``exp(r) - r - 1`` of the KL divergence, with r the reference's log-probability less
    the present one (arXiv 2402.03300, equation 4), times the importance ratio, without which its *gradient* is not that
    of the divergence (DeepSeek-V3.2, arXiv 2512.02556; TRL's default).
    """
    import torch

    old = logps.detach() if inputs.old is None else inputs.old
    ratio = torch.exp(logps - old)
    clipped = torch.clamp(ratio, 1 - clip.low, 1 + clip.high)
    loss = -torch.min(ratio * inputs.advantage, clipped * inputs.advantage)
    if beta and inputs.reference is not None:
        r = inputs.reference - logps
        loss = loss + beta * ratio * (torch.exp(r) - r - 1)
    total: torch.Tensor = (loss * inputs.weight).sum()
    return total


def divergence(logps: torch.Tensor, inputs: LossInputs) -> float:
    """The estimate ``exp(r) - r - 1`` of how far the policy is from the reference, summed over these tokens; 0 without
    one."""
    import torch

    if inputs.reference is None:
        return 0.0
    r = inputs.reference - logps.detach()
    return float((torch.exp(r) - r - 1).sum())


def clipped_share(logps: torch.Tensor, inputs: LossInputs, clip: Clip) -> float:
    """Share of the tokens whose gradient the clipping has cut off."""
    import torch

    if inputs.old is None or not len(logps):
        return 0.0
    ratio = torch.exp(logps.detach() - inputs.old)
    up = (ratio > 1 + clip.high) & (inputs.advantage > 0)
    down = (ratio < 1 - clip.low) & (inputs.advantage < 0)
    return float((up | down).float().mean())


@dataclass
class GroupLoss:
    """The surrogate over the passes of one step, a ``LossInputs`` each, and what it saw of their tokens on the way."""

    inputs: Sequence[LossInputs]
    clip: Clip
    beta: float
    _clipped: float = 0.0
    _apart: float = 0.0
    _count: int = 0

    def __call__(self, i: int, logps: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
        these = self.inputs[i].at(entries)
        self._apart += divergence(logps, these)
        self._clipped += clipped_share(logps, these, self.clip) * len(logps)
        self._count += len(logps)
        return surrogate(logps, these, self.clip, self.beta)

    @property
    def clipped(self) -> float:
        """Share of the tokens whose gradient the clipping has cut off."""
        return self._clipped / max(self._count, 1)

    @property
    def kl(self) -> float | None:
        """How far the tokens' policy is from the reference, in nats a token; None without one."""
        there = any(inputs.reference is not None for inputs in self.inputs)
        return self._apart / max(self._count, 1) if there else None
