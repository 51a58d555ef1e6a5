"""A model that learns from its own rollouts: the one trainer, and for each group batch the loss of its groups.

It stays in memory between rollouts; its state goes into a checkpoint and comes back from one bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar.export.folder import save
from instar.update.weights.layout.minibatch import Minibatch, lay_out
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.grpo import Clip, GroupLoss, LossInputs, LossType, token_weights
from instar.update.weights.trainer.checkpoint import Checkpoint
from instar.update.weights.trainer.model import open_trainable
from instar.update.weights.trainer.trainer import TrainConfig, Trainer

if TYPE_CHECKING:
    import torch


class Answer(NamedTuple):
    """One sampled answer: its tokens with their prompt, and how much better it was than its group."""

    row: Row
    advantage: float
    longest: int
    """The most tokens it was allowed."""


class GroupBatch(NamedTuple):
    """The answers of one optimiser step, whole groups; those without signal only count in the averages."""

    answers: tuple[Answer, ...]
    temperature: float
    """At which they were sampled: the surrogate is of that distribution."""


class GrpoSettings(NamedTuple):
    """What a step of learning needs; the fields are Grpo's. ``warmup`` is in steps."""

    learning_rate: float
    warmup: int
    max_grad_norm: float
    weight_decay: float
    loss_type: LossType
    clip: Clip
    beta: float
    iterations: int
    bfloat16: bool
    seed: int
    max_tokens_per_microbatch: int
    gradient_checkpointing: bool = False
    device: str = "cpu"

    @property
    def config(self) -> TrainConfig:
        """The trainer's: the rate rises over the warm-up and then stays."""
        return TrainConfig(
            self.learning_rate, self.max_grad_norm, self.weight_decay, self.bfloat16, self.seed,
            self.max_tokens_per_microbatch, self.warmup,
        )  # fmt: skip


class GrpoStepStats(NamedTuple):
    """What one optimiser step came to."""

    loss: float
    norm: float
    clipped: float
    fed: int
    rate: float
    """The learning rate."""
    kl: float | None
    """How far the tokens' policy is from the reference, in nats a token; None without one."""


class Ready(NamedTuple):
    """A group batch laid out, and what its tokens are told: one ``LossInputs`` a pass."""

    batch: Minibatch
    inputs: list[LossInputs]


class GrpoTrainer:
    """Opens the weights in ``folder`` in float32. Raises ModelError if they, or a needed package, are missing."""

    def __init__(self, folder: Path, settings: GrpoSettings) -> None:
        self.folder, self.settings = folder, settings
        trainable = open_trainable(
            folder, None, settings.seed, gradient_checkpointing=settings.gradient_checkpointing, device=settings.device
        )
        self.reference = open_trainable(folder, None, settings.seed, device=settings.device) if settings.beta else None
        self.trainer = Trainer(trainable, settings.config)

    @property
    def steps(self) -> int:
        """Optimiser steps done."""
        return self.trainer.steps

    def restore(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.trainer.restore(kept, int(kept.history["optimiser_steps"]))

    def save(self, folder: Path) -> None:
        """Write the weights as they are now, as a whole model folder; training can go on."""
        save(self.trainer.trainable, self.folder, folder)

    def learn(self, group_batches: Sequence[GroupBatch]) -> list[GrpoStepStats]:
        """Take one step a group batch, all in order, ``iterations`` times over. One without signal is left out.
        Raises ModelError if the loss or the gradient is not a finite number."""
        heard = [group_batch for group_batch in group_batches if any(self.counts(a) for a in group_batch.answers)]
        # the first step is taken where the answers came from: there the ratio is 1, and needs no pass of its own
        reuse = len(heard) * self.settings.iterations > 1
        with self.trainer.working():
            ready = [self.ready(group_batch, old=reuse) for group_batch in heard]
            return [self._step(r) for _ in range(self.settings.iterations) for r in ready]

    def ready(self, group_batch: GroupBatch, *, old: bool) -> Ready:
        """The group batch laid out: answers with signal only, weighed as a part of all its answers. ``old`` asks for
        the log-probabilities under the weights as they are now."""
        lengths = [len(a.row.ids) - a.row.prompt for a in group_batch.answers]
        weights = token_weights(self.settings.loss_type, lengths, [a.longest for a in group_batch.answers])
        heard = [(a, w) for a, w in zip(group_batch.answers, weights, strict=True) if self.counts(a)]
        trainable = self.trainer.trainable
        batch = lay_out(
            trainable, [a.row for a, _ in heard], self.settings.max_tokens_per_microbatch, group_batch.temperature
        )
        batch = batch._replace(passes=[layout.to(trainable.device) for layout in batch.passes])
        advantage = batch.spread([a.advantage for a, _ in heard], trainable.device)
        weight = batch.spread([w for _, w in heard], trainable.device)
        none: list[torch.Tensor | None] = [None] * len(batch.passes)
        before = self.trainer.logps(batch) if old else none
        base = self.trainer.logps(batch, self.reference) if self.reference else none
        return Ready(batch, [LossInputs(*each) for each in zip(advantage, weight, before, base, strict=True)])

    def counts(self, answer: Answer) -> bool:
        """Whether an answer goes through the model: without signal its gradient is zero, but for a reference's."""
        return answer.advantage != 0.0 or self.settings.beta != 0.0

    def loss(self, ready: Ready) -> GroupLoss:
        """The loss of a group batch."""
        return GroupLoss(ready.inputs, self.settings.clip, self.settings.beta)

    def _step(self, ready: Ready) -> GrpoStepStats:
        loss = self.loss(ready)
        took = self.trainer.step(ready.batch, loss)
        return GrpoStepStats(took.loss, took.norm, loss.clipped, took.fed, took.rate, loss.kl)
