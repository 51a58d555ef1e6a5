"""A model that learns from its own rollouts: the one trainer, and for each lesson the loss of its groups.

It stays in memory between rollouts; its state goes into a checkpoint and comes back from one bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar.update.weights.checkpoint import Checkpoint
from instar.update.weights.losses.grpo import Clip, GroupLoss, LossType, Told, token_weights
from instar.update.weights.minibatch import Minibatch, lay_out
from instar.update.weights.model import open_learner, save
from instar.update.weights.rows import Row
from instar.update.weights.trainer import TrainConfig, Trainer

if TYPE_CHECKING:
    import torch


class Answer(NamedTuple):
    """One sampled answer: its tokens with their prompt, and how much better it was than its group."""

    row: Row
    advantage: float
    longest: int
    """The most tokens it was allowed."""


class Lesson(NamedTuple):
    """The answers of one optimiser step, whole groups; those without signal only count in the averages."""

    answers: tuple[Answer, ...]
    temperature: float
    """At which they were sampled: the surrogate is of that distribution."""


class Aims(NamedTuple):
    """What a lesson is for; the fields are Grpo's. ``warmup`` is in steps."""

    learning_rate: float
    warmup: int
    max_norm: float
    weight_decay: float
    loss_type: LossType
    clip: Clip
    beta: float
    iterations: int
    bfloat16: bool
    seed: int
    tokens_at_once: int
    recompute: bool = False
    device: str = "cpu"

    @property
    def config(self) -> TrainConfig:
        """The trainer's: the rate rises over the warm-up and then stays."""
        return TrainConfig(
            self.learning_rate, self.max_norm, self.weight_decay, self.bfloat16, self.seed, self.tokens_at_once,
            self.warmup,
        )  # fmt: skip


class Took(NamedTuple):
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
    """A lesson laid out, and what its tokens are told: one ``Told`` a pass."""

    batch: Minibatch
    told: list[Told]


class Trainee:
    """Opens the weights in ``folder`` in float32. Raises ModelError if they, or a needed package, are missing."""

    def __init__(self, folder: Path, aims: Aims) -> None:
        self.folder, self.aims = folder, aims
        learner = open_learner(folder, None, aims.seed, recompute=aims.recompute, device=aims.device)
        self.reference = open_learner(folder, None, aims.seed, device=aims.device) if aims.beta else None
        self.trainer = Trainer(learner, aims.config)

    @property
    def steps(self) -> int:
        """Optimiser steps done."""
        return self.trainer.steps

    def restore(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.trainer.restore(kept, int(kept.history["optimiser_steps"]))

    def save(self, folder: Path) -> None:
        """Write the weights as they are now, as a whole model folder; training can go on."""
        save(self.trainer.learner, self.folder, folder)

    def learn(self, lessons: Sequence[Lesson]) -> list[Took]:
        """Take one step a lesson, all lessons in order, ``iterations`` times over. A lesson without signal is left
        out. Raises ModelError if the loss or the gradient is not a finite number."""
        heard = [lesson for lesson in lessons if any(self.counts(a) for a in lesson.answers)]
        # the first step is taken where the answers came from: there the ratio is 1, and needs no pass of its own
        reuse = len(heard) * self.aims.iterations > 1
        with self.trainer.working():
            ready = [self.ready(lesson, old=reuse) for lesson in heard]
            return [self._step(r) for _ in range(self.aims.iterations) for r in ready]

    def ready(self, lesson: Lesson, *, old: bool) -> Ready:
        """The lesson laid out: answers with signal only, weighed as a part of all its answers. ``old`` asks for the
        log-probabilities under the weights as they are now."""
        lengths = [len(a.row.ids) - a.row.prompt for a in lesson.answers]
        weights = token_weights(self.aims.loss_type, lengths, [a.longest for a in lesson.answers])
        heard = [(a, w) for a, w in zip(lesson.answers, weights, strict=True) if self.counts(a)]
        learner = self.trainer.learner
        batch = lay_out(learner, [a.row for a, _ in heard], self.aims.tokens_at_once, lesson.temperature)
        batch = batch._replace(passes=[layout.to(learner.device) for layout in batch.passes])
        advantage = batch.spread([a.advantage for a, _ in heard], learner.device)
        weight = batch.spread([w for _, w in heard], learner.device)
        none: list[torch.Tensor | None] = [None] * len(batch.passes)
        before = self.trainer.logps(batch) if old else none
        base = self.trainer.logps(batch, self.reference) if self.reference else none
        return Ready(batch, [Told(*each) for each in zip(advantage, weight, before, base, strict=True)])

    def counts(self, answer: Answer) -> bool:
        """Whether an answer goes through the model: without signal its gradient is zero, but for a reference's."""
        return answer.advantage != 0.0 or self.aims.beta != 0.0

    def loss(self, ready: Ready) -> GroupLoss:
        """The loss of a lesson."""
        return GroupLoss(ready.told, self.aims.clip, self.aims.beta)

    def _step(self, ready: Ready) -> Took:
        loss = self.loss(ready)
        took = self.trainer.step(ready.batch, loss)
        return Took(took.loss, took.norm, loss.clipped, took.fed, took.rate, loss.kl)
