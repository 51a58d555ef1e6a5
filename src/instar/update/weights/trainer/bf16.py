"""Linear layers that multiply in bfloat16 as autocast would, without what autocast allocates on the way.

Autocast casts every weight in every forward pass, and casts every weight's gradient back before adding it up: on a CPU
that is a fifth of a step of few tokens. Here a layer keeps one bfloat16 copy of its weight, cast again once a
step, and its backward pass adds the bfloat16 product straight into the float32 gradient. The products,
their rounding and the float32 sum are autocast's (tested).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class _Copy:
    """A weight's bfloat16 copy, and room for its gradient. The copy is made anew after ``Bf16.applied``, and when the
    weight's version says that it was written to. The version alone is not enough: torch's fused AdamW does not raise it
    (2.13.0), and a stale copy would train on the first step's weights for ever."""

    def __init__(self, weight: torch.nn.Parameter) -> None:
        self.weight = weight
        self.version = -1
        self.tensor: torch.Tensor | None = None
        self.buffer: torch.Tensor | None = None
        """A gradient that was applied: its memory, not its values."""

    def add(self, gradient: torch.Tensor) -> None:
        """Add a bfloat16 gradient to the float32 sum."""
        import torch

        weight = self.weight
        if weight.grad is None:
            weight.grad = torch.empty_like(weight) if self.buffer is None else self.buffer
            weight.grad.copy_(gradient)
        else:
            weight.grad.add_(gradient)

    def add_rows(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add a gradient of these rows alone, one after another (always the same sum)."""
        import torch

        weight = self.weight
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight) if self.buffer is None else self.buffer.zero_()
        weight.grad.index_add_(0, rows, gradient)

    def now(self) -> torch.Tensor:
        import torch

        if self.version != self.weight._version or self.tensor is None:
            with torch.no_grad():
                if self.tensor is None:
                    self.tensor = torch.empty_like(self.weight, dtype=torch.bfloat16)
                self.tensor.copy_(self.weight)
            self.version = self.weight._version
        return self.tensor


class Bf16:
    """The layers that were changed. After each step of an optimiser, ``applied`` must be called."""

    def __init__(self) -> None:
        self.copies: dict[int, _Copy] = {}
        self.last: tuple[torch.Tensor, int, torch.Tensor] | None = None

    def rounded(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] as [T, in] bfloat16: the same tensor for each of the layers that are fed x one after another, as
        queries, keys and values are."""
        import torch

        if self.last is None or self.last[0] is not x or self.last[1] != x._version:
            self.last = (x, x._version, x.detach().flatten(0, -2).to(torch.bfloat16))
        return self.last[2]

    def applied(self) -> None:
        """The weights have changed: forget the copies and the gradients, but keep their memory for the next step's."""
        self.last = None
        for copy in self.copies.values():
            copy.version = -1
            if copy.weight.grad is not None:
                copy.buffer, copy.weight.grad = copy.weight.grad, None


@contextmanager
def bf16_products(model: Any) -> Iterator[Bf16]:
    """Inside, the trained plain linear layers and embeddings of ``model`` work as the module's first line says, and
    only there: layers of another class (quantised, an adapter's) and frozen ones are left to autocast."""
    import torch

    linear, lookup = _functions()
    made = Bf16()
    copies = made.copies
    changed: list[Any] = []

    def through(module: Any, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = linear.apply(x, made.rounded(x), module.weight, module.bias, copies[id(module.weight)])
        return out

    def looked_up(module: Any, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = lookup.apply(ids, module.weight, module.padding_idx, copies[id(module.weight)])
        return out

    try:
        # a forward of the instance, not of the class: other models of the process keep theirs (hence the ignores)
        for module in model.modules():
            if type(module) is torch.nn.Linear and module.weight.requires_grad:
                module.forward = MethodType(through, module)  # type: ignore[method-assign]
            elif type(module) is torch.nn.Embedding and module.weight.requires_grad and not module.max_norm:
                module.forward = MethodType(looked_up, module)  # type: ignore[method-assign]
            else:
                continue
            copies.setdefault(id(module.weight), _Copy(module.weight))
            changed.append(module)
        yield made
    finally:
        for module in changed:
            del module.forward


@cache  # torch is imported late
def _functions() -> tuple[Any, Any]:
    import torch

    class Linear(torch.autograd.Function):
        """x [..., in], given as [T, in] bfloat16 too, to [..., out] bfloat16. The weight is an input only so that
        autograd comes here."""

        @staticmethod
        def forward(ctx: Any, x: Any, rounded: Any, weight: Any, bias: Any, copy: Any) -> Any:
            ctx.save_for_backward(rounded)
            ctx.copy, ctx.biased, ctx.shape, ctx.dtype = copy, bias is not None, x.shape, x.dtype
            if bias is None:
                out = rounded @ copy.now().T
            else:
                out = torch.addmm(bias.to(torch.bfloat16), rounded, copy.now().T)
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            grad = grad.flatten(0, -2).to(torch.bfloat16)
            ctx.copy.add(grad.T @ x)
            d_x = (grad @ ctx.copy.now()).to(ctx.dtype).view(ctx.shape) if ctx.needs_input_grad[0] else None
            return d_x, None, None, grad.sum(0).float() if ctx.biased else None, None

    class Lookup(torch.autograd.Function):
        """Rows of the embedding; the backward pass touches those rows alone."""

        @staticmethod
        def forward(ctx: Any, ids: Any, weight: Any, padding: Any, copy: Any) -> Any:
            ctx.save_for_backward(ids)
            ctx.copy, ctx.padding = copy, padding
            return torch.nn.functional.embedding(ids, weight)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            rows = ctx.saved_tensors[0].flatten()
            grad = grad.flatten(0, -2).float()
            if ctx.padding is not None:  # torch gives the padding token no gradient
                grad = grad.masked_fill((rows == ctx.padding)[:, None], 0.0)
            ctx.copy.add_rows(rows, grad)
            return None, None, None, None

    return Linear, Lookup
