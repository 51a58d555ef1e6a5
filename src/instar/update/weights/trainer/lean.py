"""Norms and gated layers that keep less for the backward pass: what is cheap to compute again is computed again.

transformers' RMSNorm keeps three tensors where its input is enough, its gated layer the activated gate as well. With a
training step's other tensors already small this was a quarter of what a pass keeps (docs/log/2026-11-22-bench.md). The
numbers are the same up to rounding (tested). Written by hand: Liger's are Triton kernels, and torch's own rms_norm
keeps the scaled input beside the input on a CPU (2.13.0).
"""

from __future__ import annotations

from functools import cache
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NORMS = frozenset({"LlamaRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"})
"""weight * x / rms(x). Gemma's is another formula, and stays as it is."""
GATED = frozenset({"LlamaMLP", "Qwen2MLP", "Qwen3MLP"})
"""down(act(gate(x)) * up(x))."""


def keep_less(model: Any) -> None:
    """Give the layers of ``model`` that are known here a forward that keeps less; others keep theirs."""
    norm, gated = _functions()

    def normed(module: Any, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = norm.apply(x, module.weight, module.variance_epsilon)
        return out

    def through(module: Any, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = module.down_proj(gated.apply(module.gate_proj(x), module.up_proj(x)))
        return out

    for module in model.modules():
        kind = type(module).__name__
        if kind in NORMS:
            module.forward = MethodType(normed, module)
        elif kind in GATED and type(module.act_fn).__name__ in ("SiLU", "SiLUActivation"):
            module.forward = MethodType(through, module)


@cache  # torch is imported late
def _functions() -> tuple[Any, Any]:
    import torch

    def wide(x: torch.Tensor) -> torch.Tensor:
        return x if x.dtype == torch.float64 else x.float()

    class Norm(torch.autograd.Function):
        """x [..., width] over its root mean square, times the weight [width] (arXiv:1910.07467, eq. 4). Keeps x."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, eps: float) -> Any:
            full = wide(x)
            scale = torch.rsqrt(full.pow(2).mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(x, weight, scale)
            return weight * (full * scale).to(x.dtype)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            x, weight, scale = ctx.saved_tensors
            unit, grad = wide(x) * scale, wide(grad)
            d_weight = None
            if ctx.needs_input_grad[1]:  # not with an adapter
                d_weight = (grad * unit.to(x.dtype)).flatten(0, -2).sum(0).to(weight.dtype)
            if not ctx.needs_input_grad[0]:
                return None, d_weight, None
            down = grad * weight
            d_x = down.sub_(unit * (down * unit).mean(-1, keepdim=True)).mul_(scale)
            return d_x.to(x.dtype), d_weight, None

    class Gated(torch.autograd.Function):
        """silu(gate) * up (arXiv:2002.05202, equation 6, without its products). Keeps both."""

        @staticmethod
        def forward(ctx: Any, gate: Any, up: Any) -> Any:
            ctx.save_for_backward(gate, up)
            return torch.nn.functional.silu(gate).mul_(up)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            gate, up = ctx.saved_tensors
            d_gate = torch.ops.aten.silu_backward(grad * up, gate)
            return d_gate, torch.nn.functional.silu(gate).mul_(grad)

    return Norm, Gated
