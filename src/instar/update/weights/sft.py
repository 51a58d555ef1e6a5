"""Supervised fine-tuning: the model learns to write the answers that were kept, given the prompts it will see.

Settings as in ReST-EM and STaR practice on small models (arXiv:2312.06585, arXiv:2203.14465): a few epochs, AdamW, a
short warm-up and a linear decay. It trains from the policy it is handed, so a recipe visibly passes its base or its
last policy. Departure: rows that begin alike are laid out as one tree (``shared_prefix``): the cost is another, the
gradient the same.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from instar.errors import DataError, ModelError, StoreError
from instar.protocols import Update, Workshop, identity
from instar.records import Experience, Policy, Weights, hash_of
from instar.scripted_world import teach, weights_of
from instar.update.weights import checkpoint
from instar.update.weights.batches import plan
from instar.update.weights.hardware import AT_ONCE, Device, card, device_of, need_disk, precision_of, tokens_at_once
from instar.update.weights.loop import Settings, train
from instar.update.weights.model import Learner, Lora, open_learner, save
from instar.update.weights.rows import Rows, learned_from, rows_of


class SFT(Update):
    """Full weights, or low-rank adapters merged at the end. The loss is the cross-entropy of the answer tokens alone,
    averaged over all answer tokens of an optimiser step (not per row: a long answer weighs more than a short one).

    ``batch_size`` is rows an optimiser step; its gradient is accumulated over passes of at most ``tokens_at_once``
    tokens, which bounds the memory and changes nothing but rounding. ``warmup`` is a share of the steps; ``clip`` the
    largest gradient norm; ``max_length`` in tokens of prompt and answer: longer rows are refused and counted. A
    checkpoint is written every ``checkpoint_seconds``, and every ``checkpoint_steps`` if set. ``recompute`` saves
    memory for time: activations are computed again in the backward pass instead of kept (activation checkpointing,
    arXiv:1604.06174).

    ``device`` "auto" is a GPU where torch sees one. There the products are autocast's bfloat16 (float32 without TF32
    where ``precision`` says so), rows are padded, the default of ``tokens_at_once`` means 8192, and the same call twice
    gives weights that differ by rounding: sums are added in changing orders. On a CPU they are the same bit by bit.
    What was begun on one device is not gone on with on another.

    Raises DataError if no row remains, ModelError if the weights cannot be opened or training diverges, StoreError for
    a full disk or a damaged checkpoint; Cancelled and BudgetSpent pass through after a checkpoint.
    """

    name: ClassVar[str] = "sft"
    version: ClassVar[int] = 3  # 2 held all logits of a pass, 1 multiplied through autocast and masked whole trees
    late: ClassVar[frozenset[str]] = frozenset({"device"})

    learning_rate: float = Field(default=5e-5, gt=0)
    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    lora: Lora | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=1024, ge=2)
    tokens_at_once: int = Field(default=AT_ONCE, ge=1)
    recompute: bool = False
    device: Device = "auto"

    async def __call__(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Policy:
        if policy.adapters:
            raise ModelError(
                f"The policy carries adapters ({', '.join(sorted(policy.adapters))}), which were made for its weights.",
                "Merge or remove them before its weights are trained.",
            )
        if policy.weights.place == "scripted":
            weights = self._taught(policy, data)
        else:
            weights = await self._trained(policy, data, shop)
        changed = {"weights": weights, "parent": policy.id, "made_by": self.name, "id": ""}
        return policy.model_copy(update=changed).identified()

    def save(self, learner: Learner, parent: Path, folder: Path, policy: Policy) -> None:
        """Write what was trained from ``parent``, the weights of ``policy``, into a new folder."""
        save(learner, parent, folder)

    def _taught(self, policy: Policy, data: Sequence[Experience]) -> Weights:
        """The scripted model's table of skills, moved by every row as often as there are epochs."""
        if not data:
            raise DataError(
                "There is nothing to train on: the update was handed no experience.",
                "Loosen the filters before it, sample more, or give easier tasks.",
            )
        skills = dict(policy.weights.skills or {})
        rows = [(e.task.question, e.solution.text) for e in data]
        for _ in range(self.epochs):
            skills = teach(skills, rows)
        return weights_of(skills, policy.weights.name)

    async def _trained(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Weights:
        parent = shop.artefacts.open(policy.weights.digest)
        rows = rows_of(policy, data, parent, self.max_length, shop.exchanges)
        shop.learned(learned_from(data, rows))
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        # how often it is checkpointed does not change what comes out: it may differ between a kill and the resume
        config = {k: v for k, v in identity(self).items() if not k.startswith("checkpoint_")}
        place = () if device == "cpu" else (device,)
        kept = [list(r) for r in rows.kept]
        belongs = hash_of("training", policy.weights.digest, config, precision, shop.seed, kept, *place)
        done = shop.recall("trained")
        if done and done.get("belongs") == belongs and shop.artefacts.has(done["digest"]):
            return Weights(place="artefact", digest=done["digest"], name=policy.weights.name)
        stop = threading.Event()
        job = asyncio.create_task(
            asyncio.to_thread(
                self._in_thread, policy, parent, rows, precision == "bfloat16", device, belongs, shop, stop
            )
        )
        try:
            digest = await asyncio.shield(job)
        except asyncio.CancelledError:
            stop.set()  # a thread cannot be cancelled: it ends after its step, with a checkpoint
            await asyncio.wait([job])
            job.exception()  # it is Cancelled, as asked
            raise
        await shop.remember("trained", {"belongs": belongs, "digest": digest})
        checkpoint.clear(shop.scratch)
        return Weights(place="artefact", digest=digest, name=policy.weights.name)

    def _in_thread(
        self, policy: Policy, parent: Path, rows: Rows, bfloat16: bool, device: str, belongs: str, shop: Workshop,
        stop: threading.Event,
    ) -> str:  # fmt: skip
        """Everything that takes time. Returns the digest of the new artefact."""
        shop.scratch.mkdir(parents=True, exist_ok=True)
        with shop.timed("train"):
            learner = open_learner(parent, self.lora, shop.seed, recompute=self.recompute, device=device)
        _check_disk(learner, shop.scratch)
        steps = plan(rows.kept, batch_size=self.batch_size, epochs=self.epochs, seed=shop.seed)
        settings = Settings(
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            clip=self.clip,
            weight_decay=self.weight_decay,
            bfloat16=bfloat16,
            seed=shop.seed,
            belongs=belongs,
            checkpoint_seconds=self.checkpoint_seconds,
            checkpoint_steps=self.checkpoint_steps,
            tokens_at_once=tokens_at_once(self.tokens_at_once, device),
        )
        if not learner.trees:
            kind = "a GPU" if device != "cpu" else learner.model.config.model_type
            shop.progress(0, len(steps), note=f"{kind} takes no prefix trees: rows are padded, prompts not shared")
        history = train(learner, rows.kept, steps, settings, shop, stop)
        with shop.timed("save"):
            folder = shop.scratch / "trained"
            self.save(learner, parent, folder, policy)
            about: dict[str, Any] = {
                "update": {k: v for k, v in identity(self).items() if not k.startswith("checkpoint_")},
                "precision": "bfloat16" if bfloat16 else "float32",
                **card(device),
                "layout": "prefix trees" if learner.trees else "padded rows",
                "rows": len(rows.kept),
                "refused": rows.refused,
                "steps": len(steps),
                **history,
            }
            try:
                (folder / "training.json").write_text(json.dumps(about, indent=1, sort_keys=True), "utf-8")
            except OSError as e:
                shutil.rmtree(folder, ignore_errors=True)
                raise StoreError(f"{folder} could not be written: {e}.", "Free some disk space.") from e
            return shop.artefacts.put(folder)


def _check_disk(learner: Learner, scratch: Path) -> None:
    """Room for two checkpoints (one is written before the other goes) of weights and two moments, or for one and the
    trained weights; what a checkpoint of an earlier start takes already is counted as room."""
    trained = sum(p.numel() * 4 for p in learner.parameters().values())
    whole = sum(p.numel() * 4 for p in learner.model.parameters())
    need_disk(scratch, max(6 * trained, 3 * trained + whole) - checkpoint.size(scratch), "Training")
