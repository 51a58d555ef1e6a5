"""The losses of preferences: an answer beside a worse one to the same prompt, each a function of whole answers.

Papers: DPO, arXiv 2305.18290, equation 7 (``sigmoid``); robust DPO, arXiv 2403.00409, equation 12 (``robust``); IPO,
arXiv 2310.12036, equation 17 (``ipo``); SimPO, arXiv 2405.14734, equation 6 (``simpo``); KTO, arXiv 2402.01306,
equations 7 and 8 (``kto``). SPIN (arXiv 2401.01335, equation 4.7) is ``sigmoid`` with the policy of the round before as
the reference and its own answer as the rejected one. The names, and value and gradient for the same tokens, are those
of TRL 1.16 (tests/update/fixtures/make_trl_preferences.py).

All take one number a pair, in nats, and give the mean over the pairs. They are taken in two passes: their derivative by
each log-probability first, the gradient from a weighted sum of them (``losses.weighted``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

Preference = Literal["sigmoid", "robust", "ipo", "simpo", "kto"]


class Sides(NamedTuple):
    """What a pair's answers come to, an entry a pair [B]: sums over an answer's tokens of their log-probabilities under
    the policy (with gradient) and under the reference, and how many tokens it has."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_before: torch.Tensor
    rejected_before: torch.Tensor
    chosen_length: torch.Tensor
    rejected_length: torch.Tensor

    @property
    def ratios(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How much likelier than under the reference, in nats: times ``beta`` the implicit rewards of DPO."""
        return self.chosen - self.chosen_before, self.rejected - self.rejected_before


class Shape(NamedTuple):
    """Which loss, and its numbers: ``beta`` is IPO's tau, ``gamma`` SimPO's target margin (of its *rewards*)."""

    loss_type: Preference = "sigmoid"
    beta: float = 0.1
    label_smoothing: float = 0.0
    gamma: float = 0.5
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    sft_weight: float = 0.0
    """What the mean cross-entropy of the chosen answers' tokens weighs beside it: it holds their likelihood up."""

    @property
    def referring(self) -> bool:
        """Whether it needs the log-probabilities under a reference."""
        return self.loss_type != "simpo"


def sigmoid(sides: Sides, beta: float) -> torch.Tensor:
    """DPO: less the log of the chance, by Bradley and Terry, that the chosen answer is the better one."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = sides.ratios
    return -logsigmoid(beta * (chosen - rejected)).mean()


def robust(sides: Sides, beta: float, label_smoothing: float) -> torch.Tensor:
    """DPO where a share ``label_smoothing`` (below a half) of the pairs is the wrong way round: without bias by it."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = sides.ratios
    margin = beta * (chosen - rejected)
    kept, turned = (1 - label_smoothing) * logsigmoid(margin), label_smoothing * logsigmoid(-margin)
    return ((turned - kept) / (1 - 2 * label_smoothing)).mean()


def ipo(sides: Sides, beta: float) -> torch.Tensor:
    """IPO: the margin is drawn to ``1 / (2 beta)`` and not beyond. Ratios are averaged over an answer's tokens, as its
    authors told TRL's."""
    chosen, rejected = sides.ratios
    margin = chosen / sides.chosen_length - rejected / sides.rejected_length
    found: torch.Tensor = ((margin - 1 / (2 * beta)) ** 2).mean()
    return found


def simpo(sides: Sides, beta: float, gamma: float) -> torch.Tensor:
    """SimPO: the mean log-probability of an answer's tokens is its reward, without a reference."""
    from torch.nn.functional import logsigmoid

    margin = sides.chosen / sides.chosen_length - sides.rejected / sides.rejected_length
    return -logsigmoid(beta * margin - gamma).mean()


def kto(
    sides: Sides, beta: float, divergence: float, desirable_weight: float = 1.0, undesirable_weight: float = 1.0
) -> torch.Tensor:
    """KTO: each answer by itself, wanted or not, against how far the policy is from the reference on average
    (``kl_of``), which has no gradient."""
    import torch

    chosen, rejected = sides.ratios
    wanted = desirable_weight * (1 - torch.sigmoid(beta * (chosen - divergence)))
    unwanted = undesirable_weight * (1 - torch.sigmoid(beta * (divergence - rejected)))
    return torch.cat([wanted, unwanted]).mean()


def kl_of(now: Sequence[float], before: Sequence[float]) -> float:
    """KTO's estimate of the divergence of the policy from the reference, in nats an answer, never below 0: the mean
    difference of the log-probabilities of answers to *other* prompts (each pair of a step answers the next); 0 where
    there are none."""
    if not now:
        return 0.0
    return max(0.0, sum(a - b for a, b in zip(now, before, strict=True)) / len(now))


def loss_of(sides: Sides, shape: Shape, divergence: float = 0.0) -> torch.Tensor:
    """The loss of these pairs, a scalar. ``divergence`` is KTO's alone."""
    found = _preference(sides, shape, divergence)
    if shape.sft_weight:
        found = found - shape.sft_weight * sides.chosen.sum() / sides.chosen_length.sum()
    return found


def _preference(sides: Sides, shape: Shape, divergence: float) -> torch.Tensor:
    if shape.loss_type == "sigmoid":
        return sigmoid(sides, shape.beta)
    if shape.loss_type == "robust":
        return robust(sides, shape.beta, shape.label_smoothing)
    if shape.loss_type == "ipo":
        return ipo(sides, shape.beta)
    if shape.loss_type == "simpo":
        return simpo(sides, shape.beta, shape.gamma)
    return kto(sides, shape.beta, divergence, shape.desirable_weight, shape.undesirable_weight)
