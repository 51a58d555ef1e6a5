"""How SFT and GRPO trained before there was one trainer (the main of 2026-11-27), on the same passes: what the trainer
must equal bit by bit on a CPU. Digests would hold on one kind of processor alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from instar.update.weights.answer_tokens import answer_logps, backward
from instar.update.weights.losses.grpo import Told, surrogate, token_weights
from instar.update.weights.minibatch import layouts
from instar.update.weights.model import Learner, open_learner, seeded
from instar.update.weights.rows import Row
from instar.update.weights.trainee import Aims, Lesson


def _mean(answers: int, logps: Any, _: Any) -> Any:
    return -logps.sum() / answers


def _step(learner: Learner, optimiser: Any, rate: float, most: float) -> None:
    import torch

    parameters = learner.parameters()
    for group in optimiser.param_groups:
        group["lr"] = rate
    norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None]))
    optimiser.grad_scale = torch.tensor(max(1.0, (norm + 1e-6) / most), device=learner.device)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def supervised(
    learner: Learner, rows: Sequence[Row], steps: Sequence[Sequence[int]], *, rate: float, warmup: float, decay: float,
    seed: int, at_once: int,
) -> list[float]:  # fmt: skip
    """The losses; the learner is trained in place."""
    import torch

    optimiser = torch.optim.AdamW(learner.parameters().values(), lr=0.0, weight_decay=decay, fused=True)
    losses = []
    for step, numbers in enumerate(steps):
        batch = [rows[i] for i in numbers]
        answers = sum(len(r.ids) - r.prompt for r in batch)
        warm, total = max(1, math.ceil(warmup * len(steps))), 0.0
        now = rate * (step + 1) / (warm + 1) if step < warm else rate * (len(steps) - step) / (len(steps) - warm)
        with seeded(seed + step):
            mean = partial(_mean, answers)
            for layout in layouts(learner, batch, at_once):
                total += backward(learner, layout, mean)
        _step(learner, optimiser, now, 1.0)
        losses.append(total)
    return losses


def groups(folder: Path, aims: Aims, lessons: Sequence[Lesson]) -> tuple[Learner, list[float]]:
    """A learner that took these lessons, and the losses."""
    import torch

    learner = open_learner(folder, None, aims.seed)
    reference = open_learner(folder, None, aims.seed) if aims.beta else None
    optimiser = torch.optim.AdamW(learner.parameters().values(), lr=0.0, weight_decay=aims.weight_decay, fused=True)
    ready = []
    for lesson in lessons:
        lengths = [len(a.row.ids) - a.row.prompt for a in lesson.answers]
        weights = token_weights(aims.loss_type, lengths, [a.longest for a in lesson.answers])
        heard = [(a, w) for a, w in zip(lesson.answers, weights, strict=True) if a.advantage or aims.beta]
        heard.sort(key=lambda h: (h[0].row.ids, h[0].row.prompt))
        spread = torch.tensor([len(a.row.ids) - a.row.prompt for a, _ in heard])
        advantage = torch.repeat_interleave(torch.tensor([a.advantage for a, _ in heard]), spread)
        weight = torch.repeat_interleave(torch.tensor([w for _, w in heard]), spread)
        at, passes = 0, []
        for layout in layouts(learner, [a.row for a, _ in heard], aims.tokens_at_once):
            end = at + len(layout.targets)
            old = answer_logps(learner, layout, lesson.temperature)
            base = answer_logps(reference, layout, lesson.temperature) if reference else None
            passes.append((layout, Told(advantage[at:end], weight[at:end], old, base)))
            at = end
        ready.append((passes, lesson.temperature))
    losses: list[float] = []
    for _ in range(aims.iterations):
        for passes, temperature in ready:
            total = 0.0
            with seeded(aims.seed + len(losses)):
                for layout, told in passes:

                    def part(logps: Any, entries: Any, told: Told = told) -> Any:
                        return surrogate(logps, told.at(entries), aims.clip, aims.beta)

                    total += backward(learner, layout, part, temperature)
            now = aims.learning_rate * min(1.0, (len(losses) + 1) / (aims.warmup + 1))
            _step(learner, optimiser, now, aims.max_norm)
            losses.append(total)
    return learner, losses
