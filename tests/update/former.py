"""How SFT and GRPO trained before there was one trainer (the main of 2026-11-27), on the same passes: what the trainer
must equal bit by bit on a CPU. Digests would hold on one kind of processor alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from instar.update.weights.layout.minibatch import layouts
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.grpo import LossInputs, surrogate, token_weights
from instar.update.weights.trainer.answer_tokens import answer_logps, backward
from instar.update.weights.trainer.grpo_trainer import GroupBatch, GrpoSettings
from instar.update.weights.trainer.model import TrainableModel, open_trainable, seeded


def _mean(answers: int, logps: Any, _: Any) -> Any:
    return -logps.sum() / answers


def _step(trainable: TrainableModel, optimiser: Any, rate: float, most: float) -> None:
    import torch

    parameters = trainable.parameters()
    for group in optimiser.param_groups:
        group["lr"] = rate
    norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None]))
    optimiser.grad_scale = torch.tensor(max(1.0, (norm + 1e-6) / most), device=trainable.device)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def supervised(
    trainable: TrainableModel, rows: Sequence[Row], steps: Sequence[Sequence[int]], *, rate: float, warmup: float,
    decay: float, seed: int, at_once: int,
) -> list[float]:  # fmt: skip
    """The losses; the learner is trained in place."""
    import torch

    optimiser = torch.optim.AdamW(trainable.parameters().values(), lr=0.0, weight_decay=decay, fused=True)
    losses = []
    for step, numbers in enumerate(steps):
        batch = [rows[i] for i in numbers]
        answers = sum(len(r.ids) - r.prompt for r in batch)
        warm, total = max(1, math.ceil(warmup * len(steps))), 0.0
        now = rate * (step + 1) / (warm + 1) if step < warm else rate * (len(steps) - step) / (len(steps) - warm)
        with seeded(seed + step):
            mean = partial(_mean, answers)
            for layout in layouts(trainable, batch, at_once):
                total += backward(trainable, layout, mean)
        _step(trainable, optimiser, now, 1.0)
        losses.append(total)
    return losses


def groups(
    folder: Path, settings: GrpoSettings, group_batches: Sequence[GroupBatch]
) -> tuple[TrainableModel, list[float]]:
    """A learner that took these lessons, and the losses."""
    import torch

    trainable = open_trainable(folder, None, settings.seed)
    reference = open_trainable(folder, None, settings.seed) if settings.beta else None
    optimiser = torch.optim.AdamW(
        trainable.parameters().values(), lr=0.0, weight_decay=settings.weight_decay, fused=True
    )
    ready = []
    for group_batch in group_batches:
        lengths = [len(a.row.ids) - a.row.prompt for a in group_batch.answers]
        weights = token_weights(settings.loss_type, lengths, [a.longest for a in group_batch.answers])
        heard = [(a, w) for a, w in zip(group_batch.answers, weights, strict=True) if a.advantage or settings.beta]
        heard.sort(key=lambda h: (h[0].row.ids, h[0].row.prompt))
        spread = torch.tensor([len(a.row.ids) - a.row.prompt for a, _ in heard])
        advantage = torch.repeat_interleave(torch.tensor([a.advantage for a, _ in heard]), spread)
        weight = torch.repeat_interleave(torch.tensor([w for _, w in heard]), spread)
        at, passes = 0, []
        for layout in layouts(trainable, [a.row for a, _ in heard], settings.max_tokens_per_microbatch):
            end = at + len(layout.targets)
            old = answer_logps(trainable, layout, group_batch.temperature)
            base = answer_logps(reference, layout, group_batch.temperature) if reference else None
            passes.append((layout, LossInputs(advantage[at:end], weight[at:end], old, base)))
            at = end
        ready.append((passes, group_batch.temperature))
    losses: list[float] = []
    for _ in range(settings.iterations):
        for passes, temperature in ready:
            total = 0.0
            with seeded(settings.seed + len(losses)):
                for layout, inputs in passes:

                    def part(logps: Any, entries: Any, inputs: LossInputs = inputs) -> Any:
                        return surrogate(logps, inputs.at(entries), settings.clip, settings.beta)

                    total += backward(trainable, layout, part, temperature)
            now = settings.learning_rate * min(1.0, (len(losses) + 1) / (settings.warmup + 1))
            _step(trainable, optimiser, now, settings.max_grad_norm)
            losses.append(total)
    return trainable, losses
