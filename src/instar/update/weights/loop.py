"""The training loop: AdamW over planned steps, checkpointed, deterministic on a CPU (a GPU adds in changing orders).

The loss of a step is the mean over all answer tokens of its rows: each micro-batch adds its *sum* divided by the step's
number of answer tokens to the gradient, so cutting a step into micro-batches changes nothing but rounding.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from instar.errors import BudgetSpent, Cancelled, ModelError
from instar.protocols import Workshop
from instar.update.weights import checkpoint
from instar.update.weights.answer_tokens import backward
from instar.update.weights.batches import share
from instar.update.weights.bf16 import Bf16, bf16_products
from instar.update.weights.checkpoint import Checkpoint
from instar.update.weights.hardware import AT_ONCE, room_for
from instar.update.weights.model import Learner, seeded
from instar.update.weights.rows import Row
from instar.update.weights.shared_prefix import Layout, padded_layout, plant, tree_layout

if TYPE_CHECKING:
    import torch


class Settings(NamedTuple):
    """What the loop needs to know; seconds, steps and shares as in SFT."""

    learning_rate: float
    warmup: float
    clip: float
    weight_decay: float
    bfloat16: bool
    seed: int
    belongs: str
    checkpoint_seconds: float
    checkpoint_steps: int | None
    tokens_at_once: int = AT_ONCE


def rate(step: int, total: int, settings: Settings) -> float:
    """The learning rate of a step (from 0): up to the full rate over the warm-up, then linearly towards 0."""
    warm = max(1, math.ceil(settings.warmup * total))
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    return settings.learning_rate * (total - step) / (total - warm)


def train(
    learner: Learner,
    rows: Sequence[Row],
    steps: Sequence[Sequence[int]],
    settings: Settings,
    shop: Workshop,
    stop: threading.Event,
) -> dict[str, Any]:
    """Train in place, from the checkpoint in ``shop.scratch`` if one belongs here. Returns the history: the loss of
    every step and the counts of tokens.

    Lets Cancelled and BudgetSpent of ``shop.progress`` pass, after a checkpoint; does the same when ``stop`` is set.
    Raises ModelError if the loss or the gradient is not a finite number; StoreError for a damaged checkpoint.
    """
    with products_of(learner, settings.bfloat16) as products, room_for(settings.tokens_at_once):
        return _train(learner, rows, steps, settings, shop, stop, products)


def products_of(learner: Learner, bfloat16: bool) -> AbstractContextManager[Bf16 | None]:
    """What multiplies in bfloat16 as autocast does: our own layers on a CPU, which save it a fifth of a step; autocast
    itself elsewhere."""
    return bf16_products(learner.model) if bfloat16 and learner.device.type == "cpu" else nullcontext()


def _train(
    learner: Learner,
    rows: Sequence[Row],
    steps: Sequence[Sequence[int]],
    settings: Settings,
    shop: Workshop,
    stop: threading.Event,
    products: Bf16 | None,
) -> dict[str, Any]:
    import torch

    parameters = learner.parameters()
    optimiser = torch.optim.AdamW(parameters.values(), lr=0.0, weight_decay=settings.weight_decay, fused=True)
    history: dict[str, Any] = {"losses": [], "tokens": 0, "answer_tokens": 0, "tokens_fed": 0}
    first = 0
    with shop.timed("checkpoint"):
        kept = checkpoint.read(shop.scratch)
        if kept is not None and kept.belongs == settings.belongs:
            restore(kept, parameters, optimiser)
            first, history = kept.step, kept.history
            kept = None  # as large as the model and both moments
        elif kept is not None:  # it cannot be: scratch belongs to one call; but it must never be trained on
            checkpoint.clear(shop.scratch)
            shop.progress(0, len(steps), note="a checkpoint of other data, settings or device was set aside")

    def keep(step: int) -> None:
        with shop.timed("checkpoint"):
            tensors = state_of(parameters, optimiser)
            checkpoint.write(shop.scratch, Checkpoint(step, settings.belongs, history, tensors))

    saved, last = first, time.monotonic()
    for step in range(first, len(steps)):
        with shop.timed("train"):
            batch = [rows[i] for i in steps[step]]
            for group in optimiser.param_groups:
                group["lr"] = rate(step, len(steps), settings)
            with seeded(settings.seed + step):  # dropout, if any, is a function of the step: no state to keep
                loss, fed = _gradients(learner, batch, settings.bfloat16, settings.tokens_at_once)
            norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None]))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise ModelError(
                    f"Training diverged at step {step + 1} of {len(steps)}: loss {loss}, gradient norm {norm}.",
                    f"Lower learning_rate (now {settings.learning_rate:g}), or set precision to float32; "
                    "if it is the first step, the weights trained from are damaged.",
                )
            # clips as clip_grad_norm_ does, without a pass over the gradients of its own: the step divides by this
            scale = torch.tensor(max(1.0, (norm + 1e-6) / settings.clip), device=learner.device)
            optimiser.grad_scale = scale  # type: ignore[attr-defined]  # fused AdamW reads it
            optimiser.step()
            if products is not None:
                products.applied()
            optimiser.zero_grad(set_to_none=True)
        count = sum(len(r.ids) for r in batch)
        history["losses"].append(round(loss, 6))
        history["tokens"] += count
        history["answer_tokens"] += sum(len(r.ids) - r.prompt for r in batch)
        history["tokens_fed"] += fed
        done = step + 1
        shop.figures("step", done, told(batch, loss, norm, rate(step, len(steps), settings)))
        try:
            shop.progress(done, len(steps), tokens=count, note=f"loss {loss:.3f}")
            if stop.is_set():
                raise Cancelled("Training was cancelled.", "Resume the run: it goes on from its checkpoint.")
        except (Cancelled, BudgetSpent):
            keep(done)
            raise
        due = done - saved >= settings.checkpoint_steps if settings.checkpoint_steps else False
        if done < len(steps) and (due or time.monotonic() - last >= settings.checkpoint_seconds):
            keep(done)
            saved, last = done, time.monotonic()
    return history


def told(batch: Sequence[Row], loss: float, norm: float, rate: float) -> dict[str, float]:
    """The figures of one step over these rows; ``length`` is tokens an answer."""
    tokens, answers = sum(len(r.ids) for r in batch), sum(len(r.ids) - r.prompt for r in batch)
    length = answers / max(len(batch), 1)
    return {"loss": loss, "gradient_norm": norm, "learning_rate": rate, "length": length, "tokens": tokens}


def _gradients(learner: Learner, batch: Sequence[Row], bfloat16: bool, at_once: int = AT_ONCE) -> tuple[float, int]:
    """Add the gradient of the batch's mean loss to the parameters; that loss and the tokens fed to the model."""
    answers = sum(len(r.ids) - r.prompt for r in batch)
    total, fed = 0.0, 0
    for layout in layouts(learner, batch, at_once):
        total += backward(learner, layout, lambda logps, _: -logps.sum() / answers, bfloat16=bfloat16)
        fed += layout.tokens
    return total, fed


def layouts(learner: Learner, batch: Sequence[Row], at_once: int = AT_ONCE) -> list[Layout]:
    """The forward passes of one step, of at most ``at_once`` tokens each (a longer row is a pass of its own): as prefix
    trees where the model takes them, else padded rows. Their gradients are added up before the optimiser moves."""
    if learner.trees:
        return [tree_layout([tree]) for tree in plant(batch, at_once)]
    ordered = sorted(batch, key=lambda r: len(r.ids))
    cuts = share([len(r.ids) - 1 for r in ordered], at_once)
    return [padded_layout([ordered[i] for i in cut], learner.pad) for cut in cuts]


def state_of(parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What a checkpoint holds: trained parameters and both moments of AdamW, on the CPU."""
    tensors: dict[str, torch.Tensor] = {}
    for name, p in parameters.items():
        tensors[f"weight/{name}"] = p.detach().cpu()
        moments = optimiser.state.get(p, {})
        for key in ("exp_avg", "exp_avg_sq", "step"):
            if key in moments:
                tensors[f"{key}/{name}"] = moments[key].cpu()
    return tensors


def restore(kept: Checkpoint, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> None:
    """Copy a checkpoint into the model and the optimiser."""
    import torch

    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(kept.tensors[f"weight/{name}"])
            if f"step/{name}" in kept.tensors:
                optimiser.state[p] = {
                    key: kept.tensors[f"{key}/{name}"].to(p.device, copy=True)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
