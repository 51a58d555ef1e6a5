"""The log-probabilities of the answer tokens and the gradient of a loss of them, never with all logits at hand.

A vocabulary of 49,152 makes the logits of a pass, and their gradient, larger than all else it needs. So the loss is
taken of a few hundred nodes at a time, and its gradient right away, as in Liger's fused linear cross-entropy
(arXiv:2410.10989, section 3.2). Written by hand, since Liger's kernels are Triton's and its loss is of targets alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from instar.update.weights.layout.shared_prefix import Layout
from instar.update.weights.trainer.model import TrainableModel

if TYPE_CHECKING:
    import torch

LOGITS_AT_ONCE = 2**23
"""Numbers: 33 MB in float32, and as much again for their gradient."""
ON_A_GPU = 2**26
"""As many there: it waits for each part, so parts are few."""


def answer_logps(
    trainable: TrainableModel, layout: Layout, temperature: float, *, bfloat16: bool = False
) -> torch.Tensor:
    """The log-probability of each answer token at this sampling temperature, without a graph: [A], float32 (float64 if
    the model is), in the layout's order. ``bfloat16`` multiplies in that type, as autocast does."""
    import torch

    layout = layout.to(trainable.device)
    with torch.no_grad(), _arithmetic(bfloat16, trainable.device.type):
        states, head, node = states_of(trainable, layout)
        found = torch.empty(len(node), dtype=_wide(states).dtype, device=states.device)
        for lo, hi in _parts(trainable, len(states)):
            (entries,) = torch.where((node >= lo) & (node < hi))
            found[entries] = _chosen(head(states[lo:hi]), node[entries] - lo, layout.targets[entries], temperature)
    return found


def backward(
    trainable: TrainableModel,
    layout: Layout,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    temperature: float = 1.0,
    *,
    bfloat16: bool = False,
    beside: Callable[[torch.Tensor, int, int, torch.Tensor], torch.Tensor] | None = None,
) -> float:
    """Add to the parameters the gradient of a loss that is a sum over answer tokens; returns the loss.

    ``loss_of`` is called with log-probabilities [n] and which of the layout's answer tokens they are [n], int64; it
    returns the part of the loss, a scalar, that is theirs. The rest is as in ``answer_logps``.

    ``beside``, a term whose gradient is added and which is not in what is returned, is called with the logits [n,
    vocabulary] of the nodes from one to another, and how many answer tokens each of them predicts [n].
    """
    import torch

    layout, kind = layout.to(trainable.device), trainable.device.type
    with _arithmetic(bfloat16, kind):  # around what goes forward alone: a backward pass knows its types
        states, head, node = states_of(trainable, layout)
    gradient, total = torch.empty_like(states), 0.0
    predicts = torch.bincount(node, minlength=len(states)) if beside is not None else None
    for lo, hi in _parts(trainable, len(states)):
        (entries,) = torch.where((node >= lo) & (node < hi))
        part = states[lo:hi].detach().requires_grad_()
        with _arithmetic(bfloat16, kind):
            logits = head(part)
        loss = loss_of(_chosen(logits, node[entries] - lo, layout.targets[entries], temperature), entries)
        if beside is not None and predicts is not None:
            torch.autograd.backward(loss + beside(logits, lo, hi, predicts[lo:hi]))
        else:
            torch.autograd.backward(loss)
        assert part.grad is not None
        gradient[lo:hi] = part.grad
        total += float(loss.detach())
    torch.autograd.backward(states, gradient)
    return total


def _arithmetic(bfloat16: bool, kind: str) -> Any:
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=bfloat16)


def states_of(
    trainable: TrainableModel, layout: Layout
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], Any]:
    """What the model makes of the W nodes that predict (rows of one prompt begin alike: several answers may go through
    one node), [W, width], with its graph; what makes logits of it; and the node [A] of each answer token."""
    import torch

    nodes, node = torch.unique(layout.where, return_inverse=True)
    model = trainable.model
    if trainable.trees:
        head = model.get_output_embeddings()
        out = model.get_decoder()(
            input_ids=layout.ids, position_ids=layout.positions, runs=layout.runs, use_cache=False
        ).last_hidden_state
    else:  # some architectures scale or cap their logits: only the model itself knows, and these are the states
        head, out = torch.nn.Identity(), model(input_ids=layout.ids, use_cache=False).logits
    # index_select: its backward adds in a fixed order on a CPU, that of out[nodes] does not
    return out.flatten(0, 1).index_select(0, nodes), head, node


def _parts(trainable: TrainableModel, nodes: int) -> list[tuple[int, int]]:
    """From which node to which, in parts of about equal size."""
    most = LOGITS_AT_ONCE if trainable.device.type == "cpu" else ON_A_GPU
    most = max(1, most // trainable.model.get_output_embeddings().weight.shape[0])
    count = -(-nodes // most)
    return [(nodes * i // count, nodes * (i + 1) // count) for i in range(count)]


def _chosen(logits: torch.Tensor, node: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    chosen: torch.Tensor = _function().apply(logits, node, targets, temperature)
    return chosen


@cache  # torch is imported late
def _function() -> Any:
    import torch

    class Chosen(torch.autograd.Function):
        """Logits [W, vocabulary], and n pairs of a node and its token, to log-probabilities [n]. What is kept, and the
        gradient, have the logits' own type; in between it is float32 (float64 for float64)."""

        @staticmethod
        def forward(ctx: Any, logits: Any, node: Any, targets: Any, temperature: float) -> Any:
            at = node * logits.shape[1] + targets
            wide = _wide(logits) / temperature if temperature != 1.0 else _wide(logits)
            total = wide.logsumexp(-1)
            ctx.save_for_backward(logits, node, at, total)
            ctx.temperature = temperature
            return wide.flatten().index_select(0, at) - total.index_select(0, node)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            logits, node, at, total = ctx.saved_tensors
            grad = grad.to(total.dtype)
            down = torch.zeros_like(total).index_add_(0, node, grad)
            wide = logits.to(total.dtype, copy=True)
            if ctx.temperature != 1.0:
                wide.div_(ctx.temperature)
            wide.sub_(total[:, None]).exp_().mul_(-down[:, None])
            wide.view(-1).index_add_(0, at, grad)
            if ctx.temperature != 1.0:
                wide.div_(ctx.temperature)
            return wide.to(logits.dtype), None, None, None

    return Chosen


def _wide(logits: torch.Tensor) -> torch.Tensor:
    return logits if str(logits.dtype) == "torch.float64" else logits.float()
