"""Supervised fine-tuning: the model learns to write the answers that were kept, given the prompts it will see.

Settings as in ReST-EM and STaR practice on small models (arXiv:2312.06585, arXiv:2203.14465): a few epochs, AdamW, a
short warm-up and a linear decay. It trains from the policy it is handed, so a recipe visibly passes its base or its
last policy. Departure: rows that begin alike are laid out as one tree (``shared_prefix``): the cost is another, the
gradient the same.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import DataError
from instar.export.folder import save
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Policy, Weights, hash_of
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.rows import Rows, learned_from, rows_of
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.hardware import (
    AT_ONCE,
    FORMER,
    Device,
    Precision,
    device_of,
    max_tokens_per_microbatch,
    need_disk,
    precision_of,
)
from instar.update.weights.trainer.loop import Settings, train
from instar.update.weights.trainer.model import Lora, TrainableModel, open_trainable
from instar.update.weights.trainer.scripted import ScriptedTrainer
from instar.update.weights.trainer.session import belongs, in_thread, made_once, put, refuse_adapters, with_weights


class SFT(Update):
    """Full weights, or low-rank adapters merged at the end. The loss is the cross-entropy of the answer tokens alone,
    averaged over all answer tokens of an optimiser step (not per row: a long answer weighs more than a short one).

    ``batch_size`` is rows an optimiser step; its gradient is accumulated over passes of at most
    ``max_tokens_per_microbatch`` tokens, which bounds the memory and changes nothing but rounding. ``warmup`` below 1
    is a share of the steps (one at least), else a number of them; ``max_grad_norm`` the largest gradient norm;
    ``max_length`` in tokens of prompt and answer: longer rows are refused and counted. A checkpoint is written every
    ``checkpoint_seconds``, and every ``checkpoint_steps`` if set. ``gradient_checkpointing`` saves memory for time:
    activations are computed again in the backward pass instead of kept (activation checkpointing, arXiv:1604.06174).

    ``device`` "auto" is a GPU where torch sees one. There the products are autocast's bfloat16 (float32 without TF32
    where ``precision`` says so), rows are padded, ``max_tokens_per_microbatch`` is 8192 if it is not set (on a CPU
    512; there, for rows that share more than half of what they hold, twice the longest row's tokens), and the same call
    twice gives weights that differ by rounding: sums are added in changing orders. On a CPU they are the same bit by
    bit. What was begun on one device is not gone on with on another.

    Raises DataError if no row remains, ModelError if the weights cannot be opened or training diverges, StoreError for
    a full disk or a damaged checkpoint; Cancelled and BudgetSpent pass through after a checkpoint.
    """

    name: ClassVar[str] = "sft"
    version: ClassVar[int] = 3  # 2 held all logits of a pass, 1 multiplied through autocast and masked whole trees
    late: ClassVar[frozenset[str]] = frozenset({"device"})
    once: ClassVar[Mapping[str, int]] = {"max_tokens_per_microbatch": AT_ONCE}
    former: ClassVar[Mapping[str, str]] = FORMER

    learning_rate: float = Field(default=5e-5, gt=0)
    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.06, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    lora: Lora | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=1024, ge=2)
    max_tokens_per_microbatch: int | None = Field(default=None, ge=1)
    gradient_checkpointing: bool = False
    device: Device = "auto"

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        refuse_adapters(policy)
        if policy.weights.place == "scripted":
            weights = self._taught(policy, data, context)
        else:
            weights = await self._trained(policy, data, context)
        return with_weights(policy, weights, self.name)

    def save(self, trainable: TrainableModel, parent: Path, folder: Path, policy: Policy) -> None:
        """Write what was trained from ``parent``, the weights of ``policy``, into a new folder."""
        save(trainable, parent, folder)

    def _taught(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Weights:
        """The scripted model's table of skills, moved by every row as often as there are epochs."""
        if not data:
            raise DataError(
                "There is nothing to train on: the update was handed no experience.",
                "Loosen the filters before it, sample more, or give easier tasks.",
            )
        trainer = ScriptedTrainer(policy.weights)
        while trainer.steps < self.epochs:
            trainer.step(data, context)
            context.progress(trainer.steps, self.epochs)
        return trainer.weights

    async def _trained(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Weights:
        parent = context.artefacts.open(policy.weights.digest)
        rows = rows_of(policy, data, parent, self.max_length, context.exchanges)
        context.learned(learned_from(data, rows))
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        mine = belongs("training", self, policy, precision, device, context, [list(r) for r in rows.kept])

        async def make() -> str:
            stop = threading.Event()  # set, it ends after its step, with a checkpoint
            with ThreadPoolExecutor(1, "sft") as thread:
                work = partial(self._in_thread, policy, parent, rows, precision, device, mine, context, stop)
                return await in_thread(thread, stop.set, work)

        return await made_once(policy, mine, context, make)

    def _in_thread(
        self, policy: Policy, parent: Path, rows: Rows, precision: Precision, device: str, belongs: str,
        context: UpdateContext, stop: threading.Event,
    ) -> str:  # fmt: skip
        """Everything that takes time. Returns the digest of the new artefact."""
        context.scratch.mkdir(parents=True, exist_ok=True)
        with context.timed("train"):
            trainable = open_trainable(
                parent, self.lora, context.seed, gradient_checkpointing=self.gradient_checkpointing, device=device
            )
        _check_disk(trainable, context.scratch)
        steps = plan(rows.kept, batch_size=self.batch_size, epochs=self.epochs, seed=context.seed)
        settings = Settings(
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            max_grad_norm=self.max_grad_norm,
            weight_decay=self.weight_decay,
            bfloat16=precision == "bfloat16",
            seed=context.seed,
            belongs=hash_of("steps", belongs, steps),
            checkpoint_seconds=self.checkpoint_seconds,
            checkpoint_steps=self.checkpoint_steps,
            max_tokens_per_microbatch=max_tokens_per_microbatch(self.max_tokens_per_microbatch, device),
        )
        if not trainable.trees:
            kind = "a GPU" if device != "cpu" else trainable.model.config.model_type
            context.progress(0, len(steps), note=f"{kind} takes no prefix trees: rows are padded, prompts not shared")
        told = {
            "layout": "prefix trees" if trainable.trees else "padded rows",
            "rows": len(rows.kept),
            "refused": rows.refused,
            "steps": len(steps),
            **train(trainable, rows.kept, steps, settings, context, stop),
        }
        return put(self, precision, device, told, context, lambda folder: self.save(trainable, parent, folder, policy))


def _check_disk(trainable: TrainableModel, scratch: Path) -> None:
    """Room for two checkpoints (one is written before the other goes) of weights and two moments, or for one and the
    trained weights; what a checkpoint of an earlier start takes already is counted as room."""
    trained = sum(p.numel() * 4 for p in trainable.parameters().values())
    whole = sum(p.numel() * 4 for p in trainable.model.parameters())
    need_disk(scratch, max(6 * trained, 3 * trained + whole) - checkpoint.size(scratch), "Training")
