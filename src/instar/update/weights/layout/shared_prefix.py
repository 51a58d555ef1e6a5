"""Rows that begin alike, laid out as one tree: every shared token goes through the model once.

Training rows of one step repeat themselves: the same system prompt, the same question template, several answers to one
question. Laid out as the prefix tree of the rows, depth first, a token attends exactly to its ancestors (itself
included) and sits at the position it has in its row, so every logit, the loss and the gradients are those of the plain
padded layout up to rounding (tested). In depth-first order the ancestors need no pointers: node ``j`` is an ancestor of
node ``i`` if and only if ``j <= i < end[j]``, where ``end[j]`` is one past the last node below ``j``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.tree_attention import Runs, runs_of

if TYPE_CHECKING:
    import torch

TREES = frozenset({"llama", "qwen2", "qwen3", "gemma", "gemma3_text"})
"""Model types that attend through transformers' attention interface alone, and use positions in rotations alone."""


@dataclass
class Tree:
    """The prefix tree of some rows, depth first. All lists but ``targets`` have one entry a node."""

    tokens: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    targets: list[tuple[int, int]] = field(default_factory=list)
    """(node, the token to predict after it), one entry for each answer token of each row."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Layout:
    """One forward pass. B sequences of L tokens; A answer tokens."""

    ids: torch.Tensor  # [B, L] int64
    positions: torch.Tensor | None  # [B, L] int64; None: counted from 0
    runs: Runs | None  # who sees whom (B is 1 then); None: plain causal
    where: torch.Tensor  # [A] int64: flat indices into B*L of the nodes that predict
    targets: torch.Tensor  # [A] int64
    tokens: int
    """Tokens fed to the model, padding not counted."""

    def to(self, device: torch.device | str) -> Layout:
        """The same on a device."""
        return Layout(
            ids=self.ids.to(device),
            positions=None if self.positions is None else self.positions.to(device),
            runs=None if self.runs is None else self.runs.to(device),
            where=self.where.to(device),
            targets=self.targets.to(device),
            tokens=self.tokens,
        )


def plants_trees(config: Any) -> bool:
    """Whether a model with this Hugging Face config may be fed trees: a known type, and nothing in its attention or its
    logits that the tree path leaves out (dropout of probabilities, caps, seeing what comes later)."""
    kinds = getattr(config, "layer_types", None) or []
    return (
        config.model_type in TREES
        and all(k in ("full_attention", "sliding_attention") for k in kinds)
        and not getattr(config, "attention_dropout", 0.0)
        and getattr(config, "attn_logit_softcapping", None) is None
        and getattr(config, "final_logit_softcapping", None) is None
        and not getattr(config, "use_bidirectional_attention", False)
    )


def plant(rows: Sequence[Row], most: int, beyond: int = 0) -> list[Tree]:
    """The rows as trees of at most ``most`` nodes each (a longer row gets a tree of its own). A row more than half of
    which stands in a tree may join it up to ``beyond`` nodes.

    Rows are taken in lexicographic order, so that neighbours share the most; a row's last token predicts nothing and is
    not a node.
    """
    trees: list[Tree] = []
    path: list[int] = []  # nodes of the row planted last, root to leaf
    last: tuple[int, ...] = ()
    for row in sorted(rows, key=lambda r: (r.ids, r.prompt)):
        ids = row.ids
        shared = 0
        while shared < min(len(path), len(ids) - 1) and ids[shared] == last[shared]:
            shared += 1
        new = len(ids) - 1 - shared
        if not trees or len(trees[-1]) + new > (max(most, beyond) if new < shared else most):
            if trees:
                _close(trees[-1], path)
            trees.append(Tree())
            path, shared = [], 0
        tree = trees[-1]
        _close(tree, path[shared:])
        del path[shared:]
        for depth in range(shared, len(ids) - 1):
            path.append(len(tree))
            tree.tokens.append(ids[depth])
            tree.depth.append(depth)
            tree.end.append(0)
        tree.targets += [(path[t - 1], ids[t]) for t in range(row.prompt, len(ids))]
        last = ids
    if trees:
        _close(trees[-1], path)
    return trees


def _close(tree: Tree, nodes: Sequence[int]) -> None:
    for node in nodes:
        tree.end[node] = len(tree)


def tree_layout(trees: Sequence[Tree]) -> Layout:
    """Trees one after another in one sequence, without padding: no node of one sees another's."""
    import torch

    starts = [0]
    for tree in trees:
        starts.append(starts[-1] + len(tree))
    depth = [d for tree in trees for d in tree.depth]
    end = [start + e for start, tree in zip(starts, trees, strict=False) for e in tree.end]
    pairs = [(start + node, t) for start, tree in zip(starts, trees, strict=False) for node, t in tree.targets]
    return Layout(
        ids=torch.tensor([[token for tree in trees for token in tree.tokens]]),
        positions=torch.tensor([depth]),
        runs=runs_of(depth, end),
        where=torch.tensor([p for p, _ in pairs]),
        targets=torch.tensor([t for _, t in pairs]),
        tokens=starts[-1],
    )


def padded_layout(rows: Sequence[Row], pad: int) -> Layout:
    """The plain layout: one row a sequence, padded on the right, where a causal model needs no mask for padding."""
    import torch

    longest = max(len(r.ids) for r in rows) - 1
    ids = torch.full((len(rows), longest), pad)
    where: list[int] = []
    targets: list[int] = []
    for b, row in enumerate(rows):
        ids[b, : len(row.ids) - 1] = torch.tensor(row.ids[:-1])
        where += [b * longest + t - 1 for t in range(row.prompt, len(row.ids))]
        targets += row.ids[row.prompt :]
    return Layout(
        ids=ids,
        positions=None,
        runs=None,
        where=torch.tensor(where),
        targets=torch.tensor(targets),
        tokens=sum(len(r.ids) - 1 for r in rows),
    )
