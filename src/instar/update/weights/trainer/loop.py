"""Training on rows in planned steps: an epoch after the other, checkpointed, deterministic on a CPU (a GPU may add in
changing orders)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from instar.errors import BudgetSpent, Cancelled
from instar.protocols import UpdateContext
from instar.update.weights.layout.minibatch import lay_out
from instar.update.weights.layout.minibatch import layouts as layouts
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.sft import cross_entropy
from instar.update.weights.losses.terms import Term
from instar.update.weights.trainer.hardware import AT_ONCE
from instar.update.weights.trainer.keeper import Keeper
from instar.update.weights.trainer.model import TrainableModel
from instar.update.weights.trainer.trainer import StepStats, TrainConfig, Trainer, gradient, warm_steps
from instar.update.weights.trainer.trainer import rate as rate


class Settings(NamedTuple):
    """What the loop needs to know; seconds, steps and shares as in SFT."""

    learning_rate: float
    warmup: float
    max_grad_norm: float
    weight_decay: float
    bfloat16: bool
    seed: int
    belongs: str
    checkpoint_seconds: float
    checkpoint_steps: int | None
    max_tokens_per_microbatch: int = AT_ONCE

    def config(self, total: int) -> TrainConfig:
        """The trainer's, for so many steps: the rate rises over the warm-up, one step at least, then falls to 0."""
        return TrainConfig(
            self.learning_rate, self.max_grad_norm, self.weight_decay, self.bfloat16, self.seed,
            self.max_tokens_per_microbatch, max(1, warm_steps(self.warmup, total)), total,
        )  # fmt: skip


class Step(NamedTuple):
    """What one optimiser step came to."""

    loss: float
    tokens: int
    answer_tokens: int
    fed: int
    """Tokens fed to the model."""
    figures: Mapping[str, float]
    """For the curves."""
    note: str
    """For the screen."""
    kept: Mapping[str, float] = {}
    """For lists of the history beside its losses."""


def drive(
    trainer: Trainer,
    total: int,
    step: Callable[[int], Step],
    settings: Settings,
    context: UpdateContext,
    stop: threading.Event,
    lists: Sequence[str] = (),
) -> dict[str, Any]:
    """Do the steps of a plan, from the checkpoint in ``context.scratch`` if one belongs here: ``step`` does the one of
    a number, counted from 0. Returns the history: of every step the loss and what ``lists`` names, and the counts of
    tokens.

    Lets Cancelled and BudgetSpent of ``context.progress`` pass, after a checkpoint; does the same when ``stop`` is set.
    Raises what ``step`` does; StoreError for a damaged checkpoint.
    """
    history: dict[str, Any] = {"losses": [], **{name: [] for name in lists}}
    history |= {"tokens": 0, "answer_tokens": 0, "tokens_fed": 0}
    with Keeper(context, settings.belongs, settings.checkpoint_seconds, settings.checkpoint_steps) as keeper:
        if (kept := keeper.read(total)) is not None:
            with context.timed("checkpoint"):
                trainer.restore(kept, kept.step)
            history = kept.history
            kept = None  # as large as the model and both moments
        while trainer.steps < total:
            with context.timed("train"):
                took = step(trainer.steps)
            done = trainer.steps
            history["losses"].append(round(took.loss, 6))
            for name, value in took.kept.items():
                history[name].append(round(value, 6))
            history["tokens"] += took.tokens
            history["answer_tokens"] += took.answer_tokens
            history["tokens_fed"] += took.fed
            context.figures("step", done, dict(took.figures))
            try:
                context.progress(done, total, tokens=took.tokens, note=took.note)
                if stop.is_set():
                    raise Cancelled("Training was cancelled.", "Resume the run: it goes on from its checkpoint.")
            except (Cancelled, BudgetSpent):
                keeper.keep(done, done, history, trainer.state)
                keeper.wait()
                raise
            if done < total and keeper.due(done):
                keeper.keep(done, done, history, trainer.state)
    return history


def train(
    trainable: TrainableModel,
    rows: Sequence[Row],
    steps: Sequence[Sequence[int]],
    settings: Settings,
    context: UpdateContext,
    stop: threading.Event,
    terms: Sequence[Term] = (),
) -> dict[str, Any]:
    """Train in place on the rows of each step. Returns the history: the loss of every step and the counts of tokens.

    Raises as ``drive``, and ModelError if the loss or the gradient is not a finite number.
    """
    trainer = Trainer(trainable, settings.config(len(steps)), terms)

    def step(at: int) -> Step:
        batch = [rows[i] for i in steps[at]]
        laid = lay_out(trainable, batch, settings.max_tokens_per_microbatch)
        took = trainer.step(laid, cross_entropy(laid.answers), planned=len(steps))
        tokens = sum(len(r.ids) for r in batch)
        figures = {**_told(took, tokens, laid.answers / max(len(batch), 1)), **took.terms}
        return Step(took.loss, tokens, laid.answers, took.fed, figures, f"loss {took.loss:.3f}")

    with trainer.working():
        return drive(trainer, len(steps), step, settings, context, stop)


def _told(took: StepStats, tokens: int, length: float) -> dict[str, float]:
    """The figures of a step; ``length`` is tokens an answer."""
    return {
        "loss": took.loss, "gradient_norm": took.norm, "learning_rate": took.rate, "length": length, "tokens": tokens,
    }  # fmt: skip


def _gradients(
    trainable: TrainableModel, batch: Sequence[Row], bfloat16: bool, at_once: int = AT_ONCE
) -> tuple[float, int]:
    """Add the gradient of the batch's mean loss to the parameters; that loss and the tokens fed to the model."""
    laid = lay_out(trainable, batch, at_once)
    return gradient(trainable, laid, cross_entropy(laid.answers), bfloat16=bfloat16), laid.fed
