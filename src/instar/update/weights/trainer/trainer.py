"""The one trainer: forward passes over a minibatch, a loss of its answer tokens, AdamW, and the state to go on from.

What is learned is the caller's: a ``Part`` says the loss of some answer tokens, and a step is this trainer's. The
gradient of a step is the sum over its passes, in an order that hangs on the rows alone, so on a CPU a step is the same
bit by bit whenever it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from instar.errors import ModelError
from instar.update.weights.layout.minibatch import Minibatch
from instar.update.weights.losses.terms import Term, together
from instar.update.weights.trainer.answer_tokens import answer_logps, backward
from instar.update.weights.trainer.bf16 import Bf16, bf16_products
from instar.update.weights.trainer.checkpoint import Checkpoint
from instar.update.weights.trainer.hardware import memory_guard
from instar.update.weights.trainer.model import TrainableModel, seeded

if TYPE_CHECKING:
    import torch

    Part = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
    """The loss, a scalar, of some of a pass's answer tokens: the pass's number, their log-probabilities with gradient
    [n], and which of its answer tokens they are [n]."""


class TrainConfig(NamedTuple):
    """What a trainer needs to know."""

    learning_rate: float
    max_grad_norm: float
    """The gradient is clipped to this norm."""
    weight_decay: float
    bfloat16: bool
    seed: int
    max_tokens_per_microbatch: int
    warm: int = 0
    """Steps over which the rate rises."""
    total: int | None = None
    """At which step the rate has fallen to nothing; None: it stays."""


def warm_steps(warmup: float, total: int) -> int:
    """What every update's ``warmup`` means: below 1 a share of its ``total`` steps, rounded up; else how many steps."""
    return math.ceil(warmup * total) if warmup < 1 else int(warmup)


def rate(step: int, config: TrainConfig) -> float:
    """The learning rate of a step (from 0): up to the full rate over the warm-up, then it stays, or falls linearly."""
    if step < config.warm:
        return config.learning_rate * (step + 1) / (config.warm + 1)
    if config.total is None:
        return config.learning_rate
    return config.learning_rate * max(0, config.total - step) / max(1, config.total - config.warm)


class StepStats(NamedTuple):
    """What one optimiser step came to."""

    loss: float
    norm: float
    rate: float
    fed: int
    terms: Mapping[str, float] = MappingProxyType({})
    """What each term beside the loss came to, by its name."""


class Trainer:
    """Trains a learner in place. Steps are taken inside ``working``.

    ``terms`` stand beside any loss: what else is to stay small, such as the distance to a reference."""

    def __init__(self, trainable: TrainableModel, config: TrainConfig, terms: Sequence[Term] = ()) -> None:
        import torch

        self.trainable, self.config, self.terms = trainable, config, terms
        self.parameters = trainable.parameters()
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=0.0, weight_decay=config.weight_decay, fused=True
        )
        self.steps = 0
        """Optimiser steps done."""
        self._products: Bf16 | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside, the model multiplies as the config says. Raises ModelError where a GPU's memory does not suffice."""
        with (
            products_of(self.trainable, self.config.bfloat16) as self._products,
            memory_guard(self.config.max_tokens_per_microbatch),
        ):
            yield

    def logps(self, batch: Minibatch, of: TrainableModel | None = None) -> list[torch.Tensor]:
        """The log-probabilities of a minibatch's answer tokens under the weights as they are now, or those of another
        learner: a tensor a pass, without a graph and without dropout. The first of two passes."""
        trainable = of or self.trainable
        with _without_dropout(trainable):
            return [
                answer_logps(trainable, layout, batch.temperature, bfloat16=self.config.bfloat16)
                for layout in batch.passes
            ]

    def step(self, batch: Minibatch, part: Part, *, planned: int | None = None) -> StepStats:
        """One optimiser step. ``planned`` is how many there will be, for who reads an error.

        Raises ModelError if the loss or the gradient is not a finite number."""
        import torch

        now = rate(self.steps, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = now
        with seeded(self.config.seed + self.steps):  # dropout, if any, is a function of the step: no state to keep
            loss = self.gradient(batch, part)
        beside = {term.name: term.came_to(self.parameters) for term in self.terms}
        norm = float(torch.nn.utils.get_total_norm([p.grad for p in self.parameters.values() if p.grad is not None]))
        if not (math.isfinite(loss + sum(beside.values())) and math.isfinite(norm)):
            of = f" of {planned}" if planned else ""
            raise ModelError(
                f"Training diverged at step {self.steps + 1}{of}: loss {loss}, gradient norm {norm}.",
                f"Lower learning_rate (now {self.config.learning_rate:g}), or set precision to float32; "
                "if it is the first step, the weights trained from are damaged.",
            )
        # clips as clip_grad_norm_ does, without a pass over the gradients of its own: the step divides by this
        scale = torch.tensor(max(1.0, (norm + 1e-6) / self.config.max_grad_norm), device=self.trainable.device)
        self.optimiser.grad_scale = scale  # type: ignore[attr-defined]  # fused AdamW reads it
        self.optimiser.step()
        if self._products is not None:
            self._products.applied()
        self.optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        return StepStats(loss, norm, now, batch.fed, beside)

    def gradient(self, batch: Minibatch, part: Part) -> float:
        """Add the gradient of a minibatch's loss, and of the terms of its tokens, to the parameters; that loss."""
        return gradient(self.trainable, batch, part, bfloat16=self.config.bfloat16, terms=self.terms)

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: trained parameters and both moments of AdamW, on the CPU."""
        tensors: dict[str, torch.Tensor] = {}
        for name, p in self.parameters.items():
            tensors[f"weight/{name}"] = p.detach().cpu()
            moments = self.optimiser.state.get(p, {})
            for key in ("exp_avg", "exp_avg_sq", "step"):
                if key in moments:
                    tensors[f"{key}/{name}"] = moments[key].cpu()
        return tensors

    def restore(self, kept: Checkpoint, steps: int) -> None:
        """Go on from a checkpoint's tensors, after so many optimiser steps."""
        import torch

        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(kept.tensors[f"weight/{name}"])
                if f"step/{name}" in kept.tensors:
                    self.optimiser.state[p] = {
                        key: kept.tensors[f"{key}/{name}"].to(p.device, copy=True)
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }
        self.steps = steps


def gradient(
    trainable: TrainableModel, batch: Minibatch, part: Part, *, bfloat16: bool, terms: Sequence[Term] = ()
) -> float:
    """Add the gradient of a minibatch's loss to a learner's parameters; that loss, without the terms beside it."""
    total = 0.0
    for i, layout in enumerate(batch.passes):
        beside = together([term.of_pass(layout, batch) for term in terms])
        total += backward(trainable, layout, partial(part, i), batch.temperature, bfloat16=bfloat16, beside=beside)
    return total


def products_of(trainable: TrainableModel, bfloat16: bool) -> AbstractContextManager[Bf16 | None]:
    """What multiplies in bfloat16 as autocast does: our own layers on a CPU, which save it a fifth of a step; autocast
    itself elsewhere."""
    return bf16_products(trainable.model) if bfloat16 and trainable.device.type == "cpu" else nullcontext()


@contextmanager
def _without_dropout(trainable: TrainableModel) -> Iterator[None]:
    """A policy's log-probabilities are those it samples with: dropout is of training alone."""
    training = trainable.model.training
    trainable.model.eval()
    try:
        yield
    finally:
        trainable.model.train(training)
