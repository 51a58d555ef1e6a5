"""Merging: a policy made of several by arithmetic on their weights, without a step of training.

Papers: WiSE-FT, arXiv:2109.01903; model soups, arXiv:2203.05482; task arithmetic, arXiv:2212.04089; TIES,
arXiv:2306.01708; DARE, arXiv:2311.03099; Model Stock, arXiv:2403.19522; LM-Cocktail, arXiv:2311.13534. The numbers are
mergekit's 0.1.5 to 1e-6 (DARE apart: what it drops is drawn). How much of each is for dev to say, never for the gate.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from instar.errors import Cancelled, ConfigError, ModelError
from instar.model_folder.files import Tensor
from instar.model_folder.folder import read
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Policy, Weights
from instar.scripted_world import START, surprise, weights_of
from instar.update.weights.layout.minibatch import lay_out
from instar.update.weights.layout.rows import rows_of
from instar.update.weights.merging import AROUND_A_BASE, Method, Piece, Rule, merged
from instar.update.weights.parents import merged_tensors, pieces_of, refuse_unlike, size_of, write
from instar.update.weights.trainer.answer_tokens import answer_logps
from instar.update.weights.trainer.hardware import need_disk
from instar.update.weights.trainer.model import open_trainable
from instar.update.weights.trainer.session import belongs, in_thread, made_once, put, refuse_adapters, with_weights

NAMED_LINEAR: dict[str, Method] = {"wise_ft": "linear", "lm_cocktail": "linear"}
"""Methods that say how much of each parent a mean is of."""
BASE, OWN = "base", "self"
"""The reference that the others were made from, and what the policy that was handed over is called beside them."""


class Merge(Update):
    """The policy and the references that it is handed with, merged. No data is needed but for ``lm_cocktail``.

    ``wise_ft``: from the reference "base" (0) to the policy (1), ``weight`` of the way; ``slerp`` the same along an
    arc. ``linear``: the mean of all, a soup of rounds or seeds, by ``weights``. ``task_arithmetic``, ``ties``,
    ``dare_linear``, ``dare_ties``: the base and ``scale`` times its changes by all others, by ``weights``; of each
    change ``density`` is kept (TIES: the largest entries; DARE: by lot). ``model_stock``: between the base and the mean
    of the others, by the angle between their changes. ``lm_cocktail``: the mean of all, each by ``softmax(-loss /
    temperature)`` of its loss on the data.

    ``weights`` are by the references' names and "self" for the policy; what is not named weighs 1.

    One stretch of a tensor of each parent is held at a time (of TIES, one tensor); ``lm_cocktail`` opens one parent
    after the other to measure its loss. It counts in float64 and writes float32.

    Raises ConfigError where a reference is missing that the method needs, ModelError for parents of another
    architecture, vocabulary or tying, StoreError for a full disk.
    """

    name: ClassVar[str] = "merge"
    version: ClassVar[int] = 1

    method: Literal[
        "wise_ft", "linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock",
        "lm_cocktail",
    ] = "wise_ft"  # fmt: skip
    weight: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    weights: Mapping[str, float] = Field(default_factory=dict)
    scale: float = Field(default=1.0, allow_inf_nan=False)
    density: float = Field(default=0.2, gt=0, le=1)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_length: int = Field(default=1024, ge=2)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        parents = {OWN: policy, **dict(sorted(context.references.items()))}
        self._refuse(parents, data)
        context.learned(())  # what the data say is how much of each parent, and no answer is learned
        if policy.weights.place == "scripted":
            weights = self._of_tables(parents, data, context.seed)
        else:
            weights = await self._of_folders(parents, data, context)
        return with_weights(policy, weights, self.name)

    def _refuse(self, parents: Mapping[str, Policy], data: Sequence[Experience]) -> None:
        others = [name for name in parents if name != BASE]
        around = self.method == "wise_ft" or self.method in AROUND_A_BASE
        if around and BASE not in parents:
            raise ConfigError(
                f"merge by {self.method} needs the policy that the others were made from, and has no reference "
                f"{BASE!r} (it has: {', '.join(others[1:]) or 'none'}).",
                "Hand it over: references={'base': run.base}.",
            )
        if self.method in ("wise_ft", "slerp") and len(others) > 1:
            raise ConfigError(
                f"merge by {self.method} is between the base and one policy; it was handed {len(others)}.",
                "Take linear, ties or task_arithmetic.",
            )
        if self.method == "model_stock" and len(others) < 2:
            raise ConfigError("merge by model_stock needs two policies beside the base at least.", "Take wise_ft.")
        if len(parents) < 2:
            raise ConfigError("merge was handed one policy alone: there is nothing to merge it with.", "Hand another.")
        if strange := [name for name in self.weights if name not in parents]:
            raise ConfigError(
                f"merge has a weight for {strange[0]!r}, which it was not handed.", f"There are: {', '.join(parents)}."
            )
        if self.method == "lm_cocktail" and not data:
            raise ConfigError("merge by lm_cocktail weighs by the loss on examples, and was handed none.")
        for p in parents.values():
            refuse_adapters(p)
        places = {p.weights.place for p in parents.values()}
        if len(places) > 1 or places - {"scripted", "artefact"}:
            raise ModelError(f"Weights of different kinds cannot be merged: {', '.join(sorted(places))}.")

    def _rule(self, parents: Mapping[str, Policy], losses: Mapping[str, float], seed: int) -> tuple[Rule, list[str]]:
        """How tensors are merged, and the parents in the order of its weights: the base first, where the rule is around
        one."""
        method = NAMED_LINEAR.get(self.method) or cast(Method, self.method)
        others = [name for name in parents if name != BASE or method == "linear"]
        if self.method in ("wise_ft", "slerp"):
            named = {OWN: self.weight, BASE: 1 - self.weight}
        elif self.method == "lm_cocktail":
            least = min(losses.values())
            named = {name: math.exp((least - loss) / self.temperature) for name, loss in losses.items()}
        else:
            named = {name: self.weights.get(name, 1.0) for name in others}
        weights = [named[name] for name in others]
        if method == "linear" and not sum(weights) > 0:
            raise ConfigError(f"the weights of a mean sum to {sum(weights):g}.", "Let them sum to more than 0.")
        rule = Rule(method, weights, self.scale, self.density, seed)
        return rule, [BASE, *others] if method in AROUND_A_BASE else others

    # --- the scripted model ---------------------------------------------------------------------------------------

    def _of_tables(self, parents: Mapping[str, Policy], data: Sequence[Experience], seed: int) -> Weights:
        """The tables of skills, each as one tensor."""
        tables = {name: {**START, **(p.weights.skills or {})} for name, p in parents.items()}
        rows = [(e.task.question, e.solution.text) for e in data]
        losses = {name: surprise(table, rows) for name, table in tables.items()} if rows else {}
        rule, order = self._rule(parents, losses, seed)
        skills = sorted({skill for table in tables.values() for skill in table})
        arrays = [np.array([tables[name].get(s, 0.0) for s in skills], np.float32) for name in order]
        around = rule.method in AROUND_A_BASE
        piece = Piece(arrays[0], arrays[1:]) if around else Piece(None, arrays)
        (made,) = merged(rule, "skills", len(skills), lambda: [piece])
        table = {s: min(1.0, max(0.0, float(v))) for s, v in zip(skills, made, strict=True)}
        return weights_of(table, parents[OWN].weights.name)

    # --- real weights ---------------------------------------------------------------------------------------------

    async def _of_folders(
        self, parents: Mapping[str, Policy], data: Sequence[Experience], context: UpdateContext
    ) -> Weights:
        folders = {name: context.artefacts.open(p.weights.digest) for name, p in parents.items()}
        refuse_unlike(folders)
        digests = [[name, p.weights.digest] for name, p in parents.items()]
        mine = belongs("merged", self, parents[OWN], "float32", "cpu", context, [digests, [e.id for e in data]])

        async def make() -> str:
            stop = threading.Event()
            with ThreadPoolExecutor(1, "merge") as thread:
                losses: dict[str, float] = (context.recall("losses") or {}) if data else {}
                if data and not losses:
                    measure = partial(self._losses, parents, data, folders, context)
                    losses = await in_thread(thread, stop.set, measure)
                    await context.remember("losses", losses)
                work = partial(self._in_thread, parents, folders, losses, context, stop)
                return await in_thread(thread, stop.set, work)

        return await made_once(parents[OWN], mine, context, make)

    def _in_thread(
        self, parents: Mapping[str, Policy], folders: Mapping[str, Path], losses: Mapping[str, float],
        context: UpdateContext, stop: threading.Event,
    ) -> str:  # fmt: skip
        """Everything that takes time. Returns the digest of the new artefact."""
        rule, order = self._rule(parents, losses, context.seed)
        tensors = {name: merged_tensors(read(folders[name])) for name in order}
        own = read(folders[OWN])
        context.scratch.mkdir(parents=True, exist_ok=True)
        need_disk(context.scratch, size_of(own), "Merging")

        def save(folder: Path) -> None:
            done = iter(range(1, len(merged_tensors(own)) + 1))

            def values(tensor: Tensor) -> Iterator[NDArray[Any]]:
                context.progress(next(done), len(merged_tensors(own)))
                if stop.is_set():
                    raise Cancelled("Merging was cancelled.", "Resume the run: it merges again.")
                these = [tensors[name][tensor.name] for name in order]
                around = rule.method in AROUND_A_BASE
                pieces = pieces_of(these[0] if around else None, these[1:] if around else these)
                return merged(rule, tensor.name, math.prod(tensor.shape), pieces)

            write(folder, own, values)

        told_of: dict[str, Any] = {"parents": {name: p.weights.digest for name, p in parents.items()}}
        if losses:
            told_of["losses"] = {k: round(v, 6) for k, v in losses.items()}
        return put(self, "float32", "cpu", told_of, context, save)

    def _losses(
        self,
        parents: Mapping[str, Policy],
        data: Sequence[Experience],
        folders: Mapping[str, Path],
        context: UpdateContext,
    ) -> dict[str, float]:
        """Each parent's mean cross-entropy, in nats a token, of the examples' answers. One parent is open at a time."""
        found = {}
        for name, policy in parents.items():
            rows = rows_of(policy, data, folders[name], self.max_length, context.exchanges).kept
            trainable = open_trainable(folders[name], None, context.seed)
            trainable.model.eval()
            batch = lay_out(trainable, rows)
            logps = [answer_logps(trainable, layout, 1.0) for layout in batch.passes]
            found[name] = -math.fsum(float(part.double().sum()) for part in logps) / batch.answers
        return found
