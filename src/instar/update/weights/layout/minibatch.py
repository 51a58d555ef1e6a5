"""What one optimiser step learns from: rows laid out into passes, and in which order the passes hold their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from instar.update.weights.layout.batches import share
from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.shared_prefix import Layout, padded_layout, plant, tree_layout
from instar.update.weights.trainer.hardware import AT_ONCE
from instar.update.weights.trainer.model import TrainableModel

if TYPE_CHECKING:
    import torch


class Minibatch(NamedTuple):
    """The rows of one optimiser step, laid out."""

    passes: list[Layout]
    """Forward passes; their gradients are added up before the optimiser moves."""
    lengths: list[int]
    """Tokens of each row's answer."""
    order: list[int]
    """Which row's answer tokens come first in the passes, which next."""
    temperature: float = 1.0
    """The distribution that log-probabilities are of: that at this sampling temperature."""

    @property
    def answers(self) -> int:
        """How many answer tokens there are."""
        return sum(self.lengths)

    @property
    def fed(self) -> int:
        """Tokens fed to the model."""
        return sum(p.tokens for p in self.passes)

    def spread(self, of_rows: Sequence[float], device: torch.device) -> list[torch.Tensor]:
        """A number of each row as one of each of its answer tokens: a tensor a pass."""
        import torch

        counts = torch.tensor([self.lengths[i] for i in self.order])
        spread = torch.repeat_interleave(torch.tensor([of_rows[i] for i in self.order]), counts).to(device)
        return list(torch.split(spread, [len(p.targets) for p in self.passes]))


def lay_out(
    trainable: TrainableModel, rows: Sequence[Row], at_once: int = AT_ONCE, temperature: float = 1.0
) -> Minibatch:
    """The rows of one step as passes of at most ``at_once`` tokens each."""
    passes = layouts(trainable, rows, at_once)
    order = sorted(range(len(rows)), key=lambda i: _place(trainable, rows[i]))
    lengths = [len(r.ids) - r.prompt for r in rows]
    return Minibatch(passes, lengths, order, temperature)


def layouts(trainable: TrainableModel, batch: Sequence[Row], at_once: int = AT_ONCE) -> list[Layout]:
    """The forward passes of one step, of at most ``at_once`` tokens each (a longer row is a pass of its own): as prefix
    trees where the model takes them, else padded rows.

    At the default bound, long prompts that begin alike (few-shots, the turns of a dialogue) are read once and not once
    a row: a tree may then have twice the longest row's tokens, and hold twice the activations that this row needs by
    itself. Another number than the default is a bound.
    """
    if trainable.trees:
        beyond = 2 * max(len(r.ids) for r in batch) if at_once == AT_ONCE else 0
        return [tree_layout([tree]) for tree in plant(batch, at_once, beyond)]
    ordered = sorted(batch, key=lambda r: _place(trainable, r))
    cuts = share([len(r.ids) - 1 for r in ordered], at_once)
    return [padded_layout([ordered[i] for i in cut], trainable.pad) for cut in cuts]


def _place(trainable: TrainableModel, row: Row) -> tuple[tuple[int, ...], int]:
    """What the rows of a step are sorted by: trees by their tokens, so that neighbours share the most; padded rows by
    their length."""
    return (row.ids, row.prompt) if trainable.trees else ((), len(row.ids))
