"""Attention inside prefix trees that computes little more than it has to, as transformers' attention function.

In depth-first order a run of neighbouring nodes sees only itself and the ancestors of its first node (an ancestor of
any node in the run that lies before the run is an ancestor of the first one too). So the nodes are cut into blocks,
each block gathers the few keys it can see, and what is left is a small batched product per block: a mask over the
whole tree would cost the square of the tree. The backward pass computes the probabilities again, so that nothing of
the size queries x keys is kept.

Departure from torch's own attention: under bfloat16 the scores are rounded to bfloat16 before the softmax (which is
float32), as transformers' eager attention does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NAME = "instar_tree"
"""What ``config._attn_implementation`` says when it is used."""
BLOCK = 64
"""Queries of a block. Smaller: fewer products that are masked away; larger: larger matrices."""


@dataclass(frozen=True)
class Blocks:
    """Which keys each block of queries gathers. N nodes, C blocks of Q queries (C*Q >= N) and K keys."""

    queries: int
    """Q"""
    keys: torch.Tensor  # [C*K] int64: nodes
    visible: torch.Tensor  # [C, Q, K] bool
    distance: torch.Tensor  # [C, Q, K] int32: positions from key to query, for layers with a sliding window

    def to(self, device: torch.device | str) -> Blocks:
        """The same on a device."""
        return Blocks(self.queries, self.keys.to(device), self.visible.to(device), self.distance.to(device))


def blocks_of(depth: Sequence[int], end: Sequence[int], size: int = BLOCK) -> Blocks:
    """Cut depth-first nodes into blocks. ``end[j]`` is one past the last node below ``j``; several trees may follow one
    another. Queries that only fill the last block see its first key."""
    import torch

    count = len(depth)
    size = min(size, count)
    starts = range(0, count, size)
    seen: list[list[int]] = []
    for start in starts:
        # what the last block sees holds every ancestor of this block's start
        before = [j for j in seen[-1] if start < end[j]] if seen else []
        seen.append([*before, *range(start, min(start + size, count))])
    width = max(len(keys) for keys in seen)
    keys = torch.tensor([[*k, *[k[0]] * (width - len(k))] for k in seen])
    real = torch.tensor([len(k) for k in seen])
    query = torch.arange(len(seen) * size).view(-1, size)
    ends, depths = torch.tensor(end), torch.tensor(depth, dtype=torch.int32)
    key, q = keys[:, None, :], query[:, :, None]
    visible = (key <= q) & (q < ends[key]) & (torch.arange(width) < real[:, None, None])
    visible[:, :, 0] |= q[:, :, 0] >= count
    distance = depths[query.clamp(max=count - 1)][:, :, None] - depths[key]
    return Blocks(size, keys.flatten(), visible, distance)


def register() -> None:
    """Make it known to transformers under NAME; again is harmless."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    *,
    blocks: Blocks | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: query [B, H, N, d], key and value [B, G, N, d]; gives [B, N, H, d]. With ``blocks``, B
    is 1; without, plain causal attention."""
    if blocks is None:
        return _causal(module, query, key, value, scaling, sliding_window)
    visible = blocks.visible
    if sliding_window is not None:
        visible = visible & (blocks.distance < sliding_window)
        visible[:, :, 0] |= ~visible.any(-1)  # queries that are only filling
    kind = _multiplied_in(query)
    query, key, value = query.to(kind), key.to(kind), value.to(kind)
    scale = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
    out = _function().apply(query[0], key[0], value[0], blocks, visible, scale)
    return out[None], None


def _multiplied_in(x: torch.Tensor) -> torch.dtype:
    """Autocast does not reach into an autograd function's backward pass: its type is asked for here."""
    import torch

    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)  # not every device has autocast, and torch refuses to answer then
    if known and torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return x.dtype


def _causal(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, window: int | None
) -> tuple[torch.Tensor, None]:
    """Torch's attention. transformers makes no masks for an attention function of ours: a window needs one."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    mask, count = None, query.shape[2]
    if window is not None and window < count:
        place = torch.arange(count, device=query.device)
        back = place[:, None] - place
        mask = ((back >= 0) & (back < window))[None, None]
    out: torch.Tensor = sdpa_attention_forward(
        module, query, key, value, mask, scaling=scaling, is_causal=mask is None
    )[0]
    return out, None


@cache  # torch is imported late
def _function() -> Any:
    import torch

    class TreeAttention(torch.autograd.Function):
        """query [H, N, d], key and value [G, N, d] (H a multiple of G) to [N, H, d]."""

        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any, blocks: Any, visible: Any, scale: float) -> Any:
            ctx.save_for_backward(query, key, value)
            ctx.rest = blocks, visible, scale
            q, k, v = _blocked(query, blocks, key.shape[0]), _gathered(key, blocks), _gathered(value, blocks)
            out = torch.bmm(_probabilities(q, k, visible, scale), v)
            return _unblocked(out, blocks, query.shape)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            query, key, value = ctx.saved_tensors
            blocks, visible, scale = ctx.rest
            q, k, v = _blocked(query, blocks, key.shape[0]), _gathered(key, blocks), _gathered(value, blocks)
            p = _probabilities(q, k, visible, scale)
            d_out = _blocked(grad.to(query.dtype).transpose(0, 1), blocks, key.shape[0])
            d_v = torch.bmm(p.transpose(1, 2), d_out)
            wide = torch.float64 if p.dtype == torch.float64 else torch.float32
            d_p = torch.bmm(d_out, v.transpose(1, 2)).to(wide)
            p = p.to(wide)
            d_s = (p * (d_p - (p * d_p).sum(-1, keepdim=True)) * scale).to(q.dtype)
            d_q = _unblocked(torch.bmm(d_s, k), blocks, query.shape).transpose(0, 1)
            d_k = torch.bmm(d_s.transpose(1, 2), q)
            return d_q, _scattered(d_k, blocks, key), _scattered(d_v, blocks, value), None, None, None

    return TreeAttention


def _probabilities(q: torch.Tensor, k: torch.Tensor, visible: torch.Tensor, scale: float) -> torch.Tensor:
    """q [C*G, R*Q, d], k [C*G, K, d] to [C*G, R*Q, K], in the type of q."""
    import torch

    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    count, size, width = visible.shape
    scores = torch.bmm(q, k.transpose(1, 2)).to(wide).mul_(scale)
    scores.view(count, -1, size, width).masked_fill_(~visible[:, None], float("-inf"))
    return scores.softmax(-1).to(q.dtype)


def _blocked(x: torch.Tensor, blocks: Blocks, groups: int) -> torch.Tensor:
    """[H, N, d] to [C*G, R*Q, d], where R heads share the keys of one of G groups."""
    import torch

    heads, count, width = x.shape
    whole = -(-count // blocks.queries) * blocks.queries
    if whole != count:
        x = torch.nn.functional.pad(x, (0, 0, 0, whole - count))
    parts = x.reshape(groups, heads // groups, -1, blocks.queries, width).permute(2, 0, 1, 3, 4)
    return parts.reshape(-1, heads // groups * blocks.queries, width)


def _unblocked(x: torch.Tensor, blocks: Blocks, shape: torch.Size) -> torch.Tensor:
    """[C*G, R*Q, d] back to [N, H, d]."""
    heads, count, width = shape
    chunks = blocks.visible.shape[0]
    return x.view(chunks, heads, blocks.queries, width).transpose(1, 2).reshape(-1, heads, width)[:count]


def _gathered(x: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """[G, N, d] to the keys of every block, [C*G, K, d]."""
    groups, _, width = x.shape
    chunks, _, keys = blocks.visible.shape
    return x.index_select(1, blocks.keys).view(groups, chunks, keys, width).transpose(0, 1).reshape(-1, keys, width)


def _scattered(grad: torch.Tensor, blocks: Blocks, like: torch.Tensor) -> torch.Tensor:
    """The gradient of ``_gathered``: added up in float32 at least, on a CPU one key after another (the same sum every
    time), on a GPU in whatever order they come."""
    import torch

    groups, count, width = like.shape
    chunks = blocks.visible.shape[0]
    rows = grad.view(chunks, groups, -1, width).transpose(1, 2).reshape(-1, groups * width)
    wide = torch.float64 if like.dtype == torch.float64 else torch.float32
    total = torch.zeros((count, groups * width), dtype=wide, device=grad.device)
    total.index_add_(0, blocks.keys, rows.to(wide))
    return total.view(count, groups, width).transpose(0, 1).to(like.dtype)
