"""A model that learns from its own rollouts, one lesson at a time: forward as prefix trees, group surrogate, AdamW.

It stays in memory between rollouts; its state goes into a checkpoint and comes back from one bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from instar.errors import ModelError
from instar.update.weights.answer_tokens import answer_logps, backward
from instar.update.weights.bf16 import Bf16
from instar.update.weights.checkpoint import Checkpoint
from instar.update.weights.hardware import room_for
from instar.update.weights.loop import layouts, products_of, restore, state_of
from instar.update.weights.model import Learner, open_learner, save, seeded
from instar.update.weights.policy_gradient import (
    Clip,
    LossType,
    Told,
    clipped_share,
    divergence,
    surrogate,
    token_weights,
)
from instar.update.weights.rows import Row

if TYPE_CHECKING:
    import torch

    from instar.update.weights.shared_prefix import Layout


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
    """What a lesson is for; the fields are Grpo's."""

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


class Pass(NamedTuple):
    """One forward pass of a lesson and what its tokens are told."""

    layout: Layout
    told: Told


class Trainee:
    """Opens the weights in ``folder`` in float32. Raises ModelError if they, or a needed package, are missing."""

    def __init__(self, folder: Path, aims: Aims) -> None:
        import torch

        self.folder, self.aims = folder, aims
        self.learner = open_learner(folder, None, aims.seed, recompute=aims.recompute, device=aims.device)
        self.reference = open_learner(folder, None, aims.seed, device=aims.device) if aims.beta else None
        self.parameters = self.learner.parameters()
        self.optimiser = torch.optim.AdamW(self.parameters.values(), lr=0.0, weight_decay=aims.weight_decay, fused=True)
        self.steps = 0
        """Optimiser steps done."""

    def restore(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint's tensors."""
        restore(kept, self.parameters, self.optimiser)
        self.steps = int(kept.history["optimiser_steps"])

    def state(self) -> dict[str, torch.Tensor]:
        """The tensors of a checkpoint."""
        return state_of(self.parameters, self.optimiser)

    def save(self, folder: Path) -> None:
        """Write the weights as they are now, as a whole model folder; training can go on."""
        save(self.learner, self.folder, folder)

    def learn(self, lessons: Sequence[Lesson]) -> list[Took]:
        """Take one step a lesson, all lessons in order, ``iterations`` times over. A lesson without signal is left
        out. Raises ModelError if the loss or the gradient is not a finite number."""
        with products_of(self.learner, self.aims.bfloat16) as products, room_for(self.aims.tokens_at_once):
            return self._learn(lessons, products)

    def _learn(self, lessons: Sequence[Lesson], products: Bf16 | None) -> list[Took]:
        heard = [lesson for lesson in lessons if any(self._counts(a) for a in lesson.answers)]
        # the first step is taken where the answers came from: there the ratio is 1, and needs no pass of its own
        reuse = len(heard) * self.aims.iterations > 1
        ready = [self.passes(lesson, old=reuse) for lesson in heard]
        return [
            self._step(passes, lesson.temperature, products)
            for _ in range(self.aims.iterations)
            for lesson, passes in zip(heard, ready, strict=True)
        ]

    def passes(self, lesson: Lesson, *, old: bool) -> list[Pass]:
        """The lesson laid out: answers with signal only, weighed as a part of all its answers. ``old`` asks for the
        log-probabilities under the weights as they are now."""
        import torch

        lengths = [len(a.row.ids) - a.row.prompt for a in lesson.answers]
        weights = token_weights(self.aims.loss_type, lengths, [a.longest for a in lesson.answers])
        heard = [(a, w) for a, w in zip(lesson.answers, weights, strict=True) if self._counts(a)]
        heard.sort(key=lambda h: _order(self.learner, h[0].row))
        found = layouts(self.learner, [a.row for a, _ in heard], self.aims.tokens_at_once)
        targets = torch.tensor([t for a, _ in heard for t in a.row.ids[a.row.prompt :]])
        if not torch.equal(torch.cat([layout.targets for layout in found]), targets):
            raise AssertionError("the layouts hold the answers in another order than was assumed")
        spread = [len(a.row.ids) - a.row.prompt for a, _ in heard]
        advantage = torch.repeat_interleave(torch.tensor([a.advantage for a, _ in heard]), torch.tensor(spread))
        weight = torch.repeat_interleave(torch.tensor([w for _, w in heard]), torch.tensor(spread))
        device = self.learner.device
        advantage, weight = advantage.to(device), weight.to(device)
        made: list[Pass] = []
        at = 0
        for layout in [passed.to(device) for passed in found]:
            end = at + len(layout.targets)
            before = self._logps(self.learner, layout, lesson.temperature) if old else None
            base = self._logps(self.reference, layout, lesson.temperature) if self.reference else None
            made.append(Pass(layout, Told(advantage[at:end], weight[at:end], before, base)))
            at = end
        return made

    def _counts(self, answer: Answer) -> bool:
        return answer.advantage != 0.0 or self.aims.beta != 0.0

    def _logps(self, learner: Learner, layout: Layout, temperature: float) -> torch.Tensor:
        return answer_logps(learner, layout, temperature, bfloat16=self.aims.bfloat16)

    def gradient(self, passes: Sequence[Pass], temperature: float) -> tuple[float, float, float | None]:
        """Add the gradient of these passes' loss to the parameters; the loss, the share of tokens clipped, and their
        divergence from the reference if there is one."""
        loss, clipped, count, apart = 0.0, 0.0, 0, 0.0
        for layout, told in passes:

            def part(logps: torch.Tensor, entries: torch.Tensor, told: Told = told) -> torch.Tensor:
                nonlocal clipped, apart
                these = told.at(entries)
                apart += divergence(logps, these)
                clipped += clipped_share(logps, these, self.aims.clip) * len(logps)
                return surrogate(logps, these, self.aims.clip, self.aims.beta)

            loss += backward(self.learner, layout, part, temperature, bfloat16=self.aims.bfloat16)
            count += len(layout.targets)
        count = max(count, 1)
        return loss, clipped / count, apart / count if self.reference else None

    def _step(self, passes: Sequence[Pass], temperature: float, products: Bf16 | None) -> Took:
        import torch

        rate = self.aims.learning_rate * min(1.0, (self.steps + 1) / (self.aims.warmup + 1))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with seeded(self.aims.seed + self.steps):  # dropout, if any, is a function of the step
            loss, clipped, apart = self.gradient(passes, temperature)
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ModelError(
                f"Training diverged at step {self.steps + 1}: loss {loss}, gradient norm {norm}.",
                f"Lower learning_rate (now {self.aims.learning_rate:g}), or set precision to float32.",
            )
        # clips without a pass over the gradients of its own: the step divides by this
        scale = torch.tensor(max(1.0, (norm + 1e-6) / self.aims.max_norm), device=self.learner.device)
        self.optimiser.grad_scale = scale  # type: ignore[attr-defined]  # as in loop
        self.optimiser.step()
        if products is not None:
            products.applied()
        self.optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        return Took(loss, norm, clipped, sum(p.layout.tokens for p in passes), rate, apart)


def _order(learner: Learner, row: Row) -> Any:
    """The order in which ``loop.layouts`` takes rows."""
    return (row.ids, row.prompt) if learner.trees else len(row.ids)
