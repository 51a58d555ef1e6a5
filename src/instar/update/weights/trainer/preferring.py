"""Training on pairs in planned steps: log-probabilities of both answers first, then what each weighs, then the step.

The log-probabilities under the reference are taken once, before the first step, so a reference that is the policy
itself costs no second model; after a kill they are taken again, from the same weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from instar.protocols import UpdateContext
from instar.update.weights.layout.minibatch import Minibatch, lay_out
from instar.update.weights.layout.pair_rows import Sided
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.preferences import Shape, Sides, kl_of, loss_of
from instar.update.weights.losses.weighted import derivatives, weighted
from instar.update.weights.trainer.loop import Settings, Step, drive
from instar.update.weights.trainer.model import TrainableModel
from instar.update.weights.trainer.trainer import StepStats, Trainer

if TYPE_CHECKING:
    import torch

BEFORE = 32
"""Rows whose log-probabilities under the reference are taken at a time: a fixed cut, so they hang on the rows alone."""
KEPT = {"margins": "margin", "accuracies": "accuracy", "kl": "kl"}
"""Lists of the history, by the figure of a step that each has."""


class Batch(NamedTuple):
    """The pairs of one optimiser step, laid out."""

    laid: Minibatch
    owner: torch.Tensor
    """Of each answer token, in the order of the passes, whose it is: of B pairs, i is the i-th chosen answer and B + i
    the i-th rejected one."""
    before: torch.Tensor | None
    """Of each of them, its log-probability under the reference; None where the loss needs none."""
    lengths: torch.Tensor
    """Tokens of each answer [2 B]."""

    def sides(self, logps: torch.Tensor) -> Sides:
        """What these log-probabilities, one an answer token, come to."""
        import torch

        now = self._summed(logps)
        then = torch.zeros_like(now) if self.before is None else self._summed(self.before)
        chosen, rejected = now.chunk(2)
        chosen_before, rejected_before = then.chunk(2)
        chosen_length, rejected_length = self.lengths.to(now).chunk(2)
        return Sides(chosen, rejected, chosen_before, rejected_before, chosen_length, rejected_length)

    def _summed(self, logps: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.zeros(len(self.lengths), dtype=logps.dtype, device=logps.device).index_add(0, self.owner, logps)


def laid_out(
    trainable: TrainableModel,
    rows: Sequence[Row],
    pairs: Sequence[Sided],
    before: Sequence[torch.Tensor] | None,
    at_once: int,
) -> Batch:
    """These pairs as one step; ``before`` of each row."""
    import torch

    numbers = [i for side in ("chosen", "rejected") for p in pairs for i in getattr(p, side)]
    owners = [
        at * len(pairs) + k
        for at, side in enumerate(("chosen", "rejected"))
        for k, p in enumerate(pairs)
        for _ in getattr(p, side)
    ]
    laid = lay_out(trainable, [rows[i] for i in numbers], at_once)
    laid = laid._replace(passes=[layout.to(trainable.device) for layout in laid.passes])
    counts = torch.tensor([laid.lengths[k] for k in laid.order])
    owner = torch.repeat_interleave(torch.tensor([owners[k] for k in laid.order]), counts)
    lengths = torch.zeros(2 * len(pairs), dtype=torch.long).index_add(0, owner, torch.ones_like(owner))
    there = None if before is None else torch.cat([before[numbers[k]] for k in laid.order]).to(trainable.device)
    return Batch(laid, owner.to(trainable.device), there, lengths.to(trainable.device))


def logps_of_rows(trainer: Trainer, rows: Sequence[Row], of: TrainableModel | None = None) -> list[torch.Tensor]:
    """The log-probabilities of each row's answer tokens under the trainer's weights, or another learner's: without a
    graph, on the CPU."""
    import torch

    found: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    for first in range(0, len(rows), BEFORE):
        some = rows[first : first + BEFORE]
        laid = lay_out(of or trainer.trainable, some, trainer.config.max_tokens_per_microbatch)
        flat = torch.cat(trainer.logps(laid, of)).cpu()
        for k, own in zip(laid.order, torch.split(flat, [laid.lengths[k] for k in laid.order]), strict=True):
            found[first + k] = own
    return found


def strangers(rows: Sequence[Row], pairs: Sequence[Sided], longest: int) -> list[Row]:
    """Each answer of a step as the answer to the next prompt (KTOTrainer's turn) that is another, for ``kl_of``: what
    the policy makes of answers it would not give there. None where all have one prompt: KTOTrainer turns these too."""
    ends = [rows[p.chosen[-1]] for p in pairs] + [rows[p.rejected[-1]] for p in pairs]
    prompts = [end.ids[: end.prompt] for end in ends]
    found = []
    for at, prompt in enumerate(prompts):
        other = next((ends[at - k] for k in range(1, len(ends)) if prompts[at - k] != prompt), None)
        if other is not None:
            found.append(Row((*prompt, *other.ids[other.prompt :])[:longest], len(prompt)))
    return found


class Told(NamedTuple):
    """What a step came to."""

    took: StepStats
    loss: float
    figures: dict[str, float]


def preference_step(
    trainer: Trainer, batch: Batch, shape: Shape, divergence: float = 0.0, *, planned: int | None = None
) -> Told:
    """One optimiser step on these pairs. Raises ModelError as ``Trainer.step``."""
    import torch

    logps = trainer.logps(batch.laid)
    loss, coefficients = derivatives(lambda given: loss_of(batch.sides(given), shape, divergence), logps)
    took = trainer.step(batch.laid, weighted(coefficients), planned=planned)
    return Told(took, loss, _figures(batch, torch.cat(logps).detach(), shape))


def _figures(batch: Batch, logps: torch.Tensor, shape: Shape) -> dict[str, float]:
    """The implicit rewards before the step, as TRL logs them, and how far the policy is from the reference: the
    estimate ``exp(r) - r - 1`` of KL(reference || policy) on these answers, in nats a token (r: log policy - log
    reference)."""
    import torch

    sides = batch.sides(logps)
    if shape.referring:
        chosen, rejected = sides.ratios
    else:
        chosen, rejected = sides.chosen / sides.chosen_length, sides.rejected / sides.rejected_length
    margin = shape.beta * (chosen - rejected)
    found = {
        "margin": float(margin.mean()), "accuracy": float((margin > 0).float().mean()),
        "reward_chosen": shape.beta * float(chosen.mean()), "reward_rejected": shape.beta * float(rejected.mean()),
        "logp_chosen": float(sides.chosen.mean()), "logp_rejected": float(sides.rejected.mean()),
    }  # fmt: skip
    if batch.before is not None:
        r = logps - batch.before
        found["kl"] = float((torch.exp(r) - r - 1).mean())
    return found


def prefer(
    trainable: TrainableModel,
    rows: Sequence[Row],
    pairs: Sequence[Sided],
    steps: Sequence[Sequence[int]],
    shape: Shape,
    settings: Settings,
    max_length: int,
    reference: Callable[[], TrainableModel | None],
    context: UpdateContext,
    stop: threading.Event,
) -> dict[str, Any]:
    """Train in place, from the checkpoint in ``context.scratch`` if one belongs here; ``reference`` opens the weights
    that the policy is held against (None: those that it has now). Returns the history. What passes and what is raised
    is as in ``loop.train``."""
    trainer = Trainer(trainable, settings.config(len(steps)))
    max_length = min(max_length, getattr(trainable.model.config, "max_position_embeddings", max_length))
    with trainer.working():
        with context.timed("train"):
            before, foreign = _before(trainer, rows, pairs, steps, shape, max_length, reference)

        def step(at: int) -> Step:
            some = [pairs[i] for i in steps[at]]
            batch = laid_out(trainable, rows, some, before, settings.max_tokens_per_microbatch)
            apart = 0.0
            if foreign is not None:
                now = logps_of_rows(trainer, strangers(rows, some, max_length))
                apart = kl_of([float(x.sum()) for x in now], foreign[at])
            told = preference_step(trainer, batch, shape, apart, planned=len(steps))
            tokens = sum(len(rows[i].ids) for p in some for i in (*p.chosen, *p.rejected))
            figures = {
                "loss": told.loss, "gradient_norm": told.took.norm, "learning_rate": told.took.rate, "tokens": tokens,
                **told.figures,
            }  # fmt: skip
            note = f"loss {told.loss:.3f}, margin {told.figures['margin']:.3f}"
            kept = {name: told.figures[key] for name, key in KEPT.items() if key in told.figures}
            return Step(told.loss, tokens, batch.laid.answers, told.took.fed, figures, note, kept)

        return drive(trainer, len(steps), step, settings, context, stop, tuple(KEPT))


def _before(
    trainer: Trainer, rows: Sequence[Row], pairs: Sequence[Sided], steps: Sequence[Sequence[int]], shape: Shape,
    max_length: int, reference: Callable[[], TrainableModel | None],
) -> tuple[list[torch.Tensor] | None, list[list[float]] | None]:  # fmt: skip
    """Under the reference: the log-probabilities of each row's tokens, and for KTO the sum of each stranger of each
    step."""
    if not shape.referring:
        return None, None
    other = reference()
    found = logps_of_rows(trainer, rows, other)
    if shape.loss_type != "kto":
        return found, None
    turned = [strangers(rows, [pairs[i] for i in step], max_length) for step in steps]
    return found, [[float(x.sum()) for x in logps_of_rows(trainer, some, other)] for some in turned]
