"""Attention inside prefix trees that computes little more than it has to, as transformers' attention function.

In depth-first order a run of neighbouring nodes sees only itself and the ancestors of its first node (an ancestor of
any node in the run that lies before the run is an ancestor of the first one too). So the nodes are cut into runs, each
run gathers the few keys it can see, and torch's own attention does the rest: a mask over the whole tree would cost the
square of the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

NAME = "instar_tree"
"""What ``config._attn_implementation`` says when it is used."""
RUN = 128
"""Queries of a run. Fewer: fewer products that are masked away; more: fewer and larger products."""


class Run(NamedTuple):
    """Q queries, the nodes from ``start`` to ``stop``, and the K keys that they can see."""

    start: int
    stop: int
    keys: torch.Tensor  # [K] int64: nodes
    visible: torch.Tensor  # [Q, K] bool
    distance: torch.Tensor  # [Q, K] int32: positions from key to query, for layers with a sliding window


@dataclass(frozen=True)
class Runs:
    """The nodes of a tree, cut into runs."""

    each: tuple[Run, ...]
    _added: dict[tuple[int | None, torch.dtype], list[torch.Tensor]] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Runs:
        """The same on a device."""
        return Runs(tuple(Run(r.start, r.stop, *(x.to(device) for x in r[2:])) for r in self.each))

    def added(self, window: int | None, kind: torch.dtype) -> list[torch.Tensor]:
        """What is added to the scores of each run, [Q, K]: 0 where a query sees a key, else minus infinity. Made once:
        each layer keeps it for its backward pass. ``kind`` is the queries' type: torch 2.13 takes float32 beside
        float64, and gives wrong numbers."""
        import torch

        which = window, kind
        if which not in self._added:
            seen = [r.visible if window is None else r.visible & (r.distance < window) for r in self.each]
            self._added[which] = [torch.zeros_like(v, dtype=kind).masked_fill_(~v, -torch.inf) for v in seen]
        return self._added[which]


def runs_of(depth: Sequence[int], end: Sequence[int], size: int = RUN) -> Runs:
    """Cut depth-first nodes into runs. ``end[j]`` is one past the last node below ``j``; several trees may follow one
    another."""
    import torch

    count = len(depth)
    ends, depths = torch.tensor(end), torch.tensor(depth, dtype=torch.int32)
    seen: list[int] = []
    each = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        # what the run before sees holds every ancestor of this one's start
        seen = [*(j for j in seen if start < end[j]), *range(start, stop)]
        keys, queries = torch.tensor(seen), torch.arange(start, stop)[:, None]
        visible = (keys <= queries) & (queries < ends[keys])
        each.append(Run(start, stop, keys, visible, depths[queries] - depths[keys]))
    return Runs(tuple(each))


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
    runs: Runs | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: query [B, H, N, d], key and value [B, G, N, d]; gives [B, N, H, d]. With ``runs``, B
    is 1; without, plain causal attention."""
    import torch

    if runs is None:
        return _causal(module, query, key, value, scaling, sliding_window)
    heads, width = query.shape[1], query.shape[3]
    groups = key.shape[1]
    together = (groups, heads // groups, -1, width)  # the heads of a group share its keys, none of which is copied
    queries = query.reshape(together)
    said = []
    for run, added in zip(runs.each, runs.added(sliding_window, query.dtype), strict=True):
        out = torch.nn.functional.scaled_dot_product_attention(
            queries[:, :, run.start : run.stop],
            key[0].index_select(1, run.keys)[:, None].expand(together),
            value[0].index_select(1, run.keys)[:, None].expand(together),
            attn_mask=added,
            scale=scaling,
        )
        said.append(out.reshape(heads, -1, width).transpose(0, 1))
    return torch.cat(said)[None], None


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
