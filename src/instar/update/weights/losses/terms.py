"""Terms beside any loss, against forgetting: the distance of a policy to a reference, of its tokens or of its weights.

KL to a reference, per token: over the whole vocabulary at every answer token, and not estimated from the one token that
was written (methods.md 3.2 has that estimate; it is GRPO's ``beta`` here). L2-SP: arXiv:1802.01483, equation 2. Elastic
weight consolidation: Kirkpatrick et al., arXiv:1612.00796, equation 3, with a diagonal Fisher of the reference's own
answers, so that what was learned with them is held where it matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from instar.durable import to_disk
from instar.errors import StoreError
from instar.update.weights.layout.minibatch import Minibatch, lay_out
from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.shared_prefix import Layout
from instar.update.weights.trainer.answer_tokens import backward, states_of
from instar.update.weights.trainer.model import TrainableModel

if TYPE_CHECKING:
    import torch

    Beside = Callable[[torch.Tensor, int, int, torch.Tensor], torch.Tensor]
    """As ``answer_tokens.backward`` takes it."""

FISHER = "fisher.safetensors"


class Term(Protocol):
    """One term. What it adds hangs on the step alone: there is nothing of it to keep in a checkpoint."""

    name: str

    def of_pass(self, layout: Layout, batch: Minibatch) -> Beside | None:
        """What of it is a sum over the tokens of one forward pass; None where it is of the weights."""
        ...

    def came_to(self, parameters: Mapping[str, torch.nn.Parameter]) -> float:
        """After the passes of a step: add what is of the weights to their gradients; what all of it came to."""
        ...


def together(parts: Sequence[Beside | None]) -> Beside | None:
    """Several terms of one pass as one."""
    these = [part for part in parts if part is not None]
    if not these:
        return None

    def beside(logits: torch.Tensor, lo: int, hi: int, counts: torch.Tensor) -> torch.Tensor:
        first, *more = (part(logits, lo, hi, counts) for part in these)
        for other in more:
            first = first + other
        return first

    return beside


class TokenKL:
    """``beta`` times the mean over a step's answer tokens of the divergence of the distributions that predict them.

    ``forward``: KL(reference || policy), that of distillation (learning without forgetting, arXiv:1606.09282);
    ``reverse``: KL(policy || reference), that of reinforcement learning.
    """

    name = "kl"

    def __init__(
        self, reference: TrainableModel, beta: float, direction: Literal["forward", "reverse"] = "forward", *,
        bfloat16: bool = False,
    ) -> None:  # fmt: skip
        reference.model.eval()
        self.reference, self.beta, self.direction, self.bfloat16 = reference, beta, direction, bfloat16
        self._total = 0.0

    def of_pass(self, layout: Layout, batch: Minibatch) -> Beside:
        import torch

        layout = layout.to(self.reference.device)
        kind = self.reference.device.type
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
            states, head, _ = states_of(self.reference, layout)

        def beside(logits: torch.Tensor, lo: int, hi: int, counts: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
                theirs = head(states[lo:hi])
            apart = divergence(logits / batch.temperature, theirs / batch.temperature, self.direction)
            found = (apart * counts).sum() / batch.answers
            self._total += float(found.detach())
            return self.beta * found

        return beside

    def came_to(self, parameters: Mapping[str, torch.nn.Parameter]) -> float:
        """The divergence itself, in nats a token, not weighed by ``beta``."""
        total, self._total = self._total, 0.0
        return total


def divergence(logits: torch.Tensor, theirs: torch.Tensor, direction: Literal["forward", "reverse"]) -> torch.Tensor:
    """KL in nats of two rows of logits [n, vocabulary]: [n], float32, with the gradient of the first."""
    mine, other = logits.float().log_softmax(-1), theirs.float().log_softmax(-1)
    if direction == "forward":
        return (other.exp() * (other - mine)).sum(-1)
    return (mine.exp() * (mine - other)).sum(-1)


class Pull:
    """Half of ``strength`` times the sum of squares of how far each weight is from where it was, each as important as
    ``importance`` says (EWC), or all alike (L2-SP)."""

    def __init__(
        self, strength: float, to: Mapping[str, torch.Tensor], importance: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        self.name = "l2_sp" if importance is None else "ewc"
        self.strength, self.to, self.importance = strength, to, importance

    def of_pass(self, layout: Layout, batch: Minibatch) -> None:
        return None

    def came_to(self, parameters: Mapping[str, torch.nn.Parameter]) -> float:
        import torch

        total = 0.0
        with torch.no_grad():
            for name, p in parameters.items():
                apart = p - self.to[name]
                force = apart if self.importance is None else apart * self.importance[name]
                total += float((apart * force).sum()) / 2
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
                p.grad.add_(force, alpha=self.strength)
        return self.strength * total


def fisher(
    trainable: TrainableModel, rows: Sequence[Row], told: Callable[[int], None] = lambda _: None, *, at_once: int
) -> dict[str, torch.Tensor]:
    """The diagonal Fisher information of what is trained: the mean over rows of the squared gradient of a row's
    log-probability (1612.00796, section 2). ``rows`` are to be answers of the learner's own;
    ``told`` hears how many are done."""
    found: dict[str, torch.Tensor] = {}
    trainable.model.eval()
    for done, row in enumerate(rows, 1):
        trainable.model.zero_grad(set_to_none=True)
        for layout in lay_out(trainable, [row], at_once).passes:
            backward(trainable, layout, lambda logps, _: -logps.sum())
        for name, p in trainable.parameters().items():
            if p.grad is not None:
                squared = p.grad.square().div_(len(rows))
                found[name] = found[name].add_(squared) if name in found else squared
        told(done)
    trainable.model.zero_grad(set_to_none=True)
    trainable.model.train()
    return found


def write_fisher(folder: Path, found: Mapping[str, torch.Tensor]) -> None:
    """Into a new folder, in bfloat16: half the size, and as exact as so rough an estimate needs. Raises StoreError if
    the disk refuses."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: t.to("cpu", torch.bfloat16) for name, t in found.items()}, folder / FISHER)
        to_disk(folder / FISHER)
    except (OSError, SafetensorError) as e:
        raise StoreError(f"The Fisher information could not be saved to {folder}: {e}.", "Free some disk space.") from e


def read_fisher(folder: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """As float32, where the learner is."""
    import torch
    from safetensors.torch import load_file

    return {name: t.to(device, torch.float32) for name, t in load_file(folder / FISHER).items()}
