"""Direct preference optimisation: the preferred answer of each pair becomes likelier beside the other one.

Paper: Rafailov et al., *Direct Preference Optimization*, arXiv 2305.18290, section 4: beta 0.1, learning rate 1e-6,
warm-up over 150 steps, batches of 64 pairs, RMSprop. The reference is the policy that it begins with, unless another
one is handed in as ``references={"reference": ...}`` (SPIN's opponent, a base).

Departures, each a setting: AdamW with a linear decay; batches of 16 pairs and a learning rate of 5e-6, for models of a
hundred million weights on two cores. ``sft_weight`` is not in the paper: DPO lets the likelihood of *both* answers
fall as long as that of the worse one falls more (SPIN's issue 13), and TRL's maintainers advise to add the
cross-entropy of the chosen one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from instar.errors import DataError, NothingLearned
from instar.export.folder import save
from instar.protocols import Update, UpdateContext
from instar.records import OWN, Experience, Learned, Pair, Policy, Weights, hash_of
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.pair_rows import NO_PAIRS, PairRows, answers_of, pair_rows
from instar.update.weights.losses.preferences import Preference, Shape
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.hardware import (
    FORMER,
    Device,
    Precision,
    device_of,
    max_tokens_per_microbatch,
    need_disk,
    precision_of,
)
from instar.update.weights.trainer.loop import Settings
from instar.update.weights.trainer.model import Lora, TrainableModel, open_trainable
from instar.update.weights.trainer.preferring import prefer
from instar.update.weights.trainer.scripted import ScriptedTrainer
from instar.update.weights.trainer.session import belongs, in_thread, made_once, put, refuse_adapters, with_weights


class Dpo(Update):
    """Full weights, or low-rank adapters merged at the end, on the pairs that the recipe hands in; single answers are
    not trained on.

    ``loss_type``: ``sigmoid`` (DPO, and SPIN), ``robust`` (DPO where a share ``label_smoothing`` of the pairs is the
    wrong way round), ``ipo``, ``simpo`` (without a reference; ``gamma`` its target margin; the paper's ``beta`` is 2 to
    2.5) or ``kto`` (each answer by itself, with ``desirable_weight`` and ``undesirable_weight``): see
    ``losses.preferences``. ``batch_size`` is pairs an optimiser step. All other settings as in SFT.

    The scripted model learns from a pair what it would from the chosen answer, where the rejected one is not as good
    (``scripted_world.prefer``), in steps of ``batch_size`` pairs. On a CPU the same call gives the same weights bit by
    bit, killed or not.

    Raises DataError if it was handed no ``pairs`` at all (None), NothingLearned if there is none among them that can be
    trained on, ModelError if the weights cannot be opened or training diverges, StoreError for a full disk or a damaged
    checkpoint; Cancelled and BudgetSpent pass through after a checkpoint.
    """

    name: ClassVar[str] = "dpo"
    version: ClassVar[int] = 1
    former: ClassVar[Mapping[str, str]] = FORMER

    loss_type: Preference = "sigmoid"
    beta: float = Field(default=0.1, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    gamma: float = Field(default=0.5, ge=0)
    desirable_weight: float = Field(default=1.0, gt=0)
    undesirable_weight: float = Field(default=1.0, gt=0)
    sft_weight: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=5e-6, gt=0)
    epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.1, ge=0)
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

    @model_validator(mode="after")
    def _smooths(self) -> Self:
        if self.label_smoothing and self.loss_type != "robust":
            raise ValueError(
                f'label_smoothing is of the loss "robust" alone, and loss_type is "{self.loss_type}": set one or the '
                "other"
            )
        return self

    @property
    def shape(self) -> Shape:
        """The loss and its numbers."""
        return Shape(
            self.loss_type, self.beta, self.label_smoothing, self.gamma, self.desirable_weight,
            self.undesirable_weight, self.sft_weight,
        )  # fmt: skip

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        refuse_adapters(policy)
        reference = context.references.get("reference", policy)
        refuse_adapters(reference)
        if context.pairs is None:
            raise DataError(
                f"{self.name} was handed no pairs: it does not train on single answers.",
                "Pair them (run.pair; the recipe dpo does), or train on answers with sft.",
            )
        if not context.pairs:
            raise NothingLearned(NO_PAIRS)
        if policy.weights.place == "scripted":
            weights = self._taught(policy, reference, context.pairs, context)
        else:
            weights = await self._trained(policy, reference, context.pairs, context)
        return with_weights(policy, weights, self.name)

    def _taught(self, policy: Policy, reference: Policy, pairs: Sequence[Pair], context: UpdateContext) -> Weights:
        """The scripted model's table of skills, moved by the pairs."""
        chosen, rejected = answers_of(pairs)
        for answers, sign in ((chosen, 1), (rejected, -1)):
            context.learned(
                Learned(e.id, n, sign=sign)
                for e in answers.values()
                for n, turn in enumerate(e.solution.turns)
                if turn.train and turn.kind in OWN
            )
        trainer = ScriptedTrainer(policy.weights)
        before = reference.weights.skills or {}
        batches = [pairs[i : i + self.batch_size] for i in range(0, len(pairs), self.batch_size)] * self.epochs
        for batch in batches:
            trainer.prefer(batch, before, self.beta, context)
            context.progress(trainer.steps, len(batches))
        return trainer.weights

    async def _trained(
        self, policy: Policy, reference: Policy, pairs: Sequence[Pair], context: UpdateContext
    ) -> Weights:
        parent = context.artefacts.open(policy.weights.digest)
        rows = pair_rows(policy, pairs, parent, self.max_length, context.exchanges)
        context.learned(rows.learned)
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        learned = [[list(r) for r in rows.rows], [list(p) for p in rows.pairs], reference.weights.digest]
        mine = belongs("preferring", self, policy, precision, device, context, learned)

        async def make() -> str:
            stop = threading.Event()  # set, it ends after its step, with a checkpoint
            with ThreadPoolExecutor(1, "dpo") as thread:
                work = partial(self._in_thread, policy, reference, parent, rows, precision, device, mine, context, stop)
                return await in_thread(thread, stop.set, work)

        return await made_once(policy, mine, context, make)

    def _in_thread(
        self, policy: Policy, reference: Policy, parent: Path, rows: PairRows, precision: Precision, device: str,
        belongs: str, context: UpdateContext, stop: threading.Event,
    ) -> str:  # fmt: skip
        """Everything that takes time. Returns the digest of the new artefact."""
        context.scratch.mkdir(parents=True, exist_ok=True)
        with context.timed("train"):
            trainable = open_trainable(
                parent, self.lora, context.seed, gradient_checkpointing=self.gradient_checkpointing, device=device
            )
        _check_disk(trainable, context.scratch)
        longest = [max((*p.chosen, *p.rejected), key=lambda i: len(rows.rows[i].ids)) for p in rows.pairs]
        steps = plan([rows.rows[i] for i in longest], batch_size=self.batch_size, epochs=self.epochs, seed=context.seed)
        settings = Settings(
            learning_rate=self.learning_rate, warmup=self.warmup, max_grad_norm=self.max_grad_norm,
            weight_decay=self.weight_decay, bfloat16=precision == "bfloat16", seed=context.seed,
            belongs=hash_of("steps", belongs, steps),
            checkpoint_seconds=self.checkpoint_seconds, checkpoint_steps=self.checkpoint_steps,
            max_tokens_per_microbatch=max_tokens_per_microbatch(self.max_tokens_per_microbatch, device),
        )  # fmt: skip

        def held_against() -> TrainableModel | None:
            if reference.weights.digest == policy.weights.digest:
                return None
            return open_trainable(context.artefacts.open(reference.weights.digest), None, context.seed, device=device)

        history = prefer(
            trainable, rows.rows, rows.pairs, steps, self.shape, settings, self.max_length, held_against, context, stop
        )
        told = {
            "layout": "prefix trees" if trainable.trees else "padded rows",
            "pairs": len(rows.pairs),
            "refused": rows.refused,
            "steps": len(steps),
            **history,
        }
        return put(self, precision, device, told, context, lambda folder: save(trainable, parent, folder))


def _check_disk(trainable: TrainableModel, scratch: Path) -> None:
    """As SFT: two checkpoints, or one and the trained weights."""
    trained = sum(p.numel() * 4 for p in trainable.parameters().values())
    whole = sum(p.numel() * 4 for p in trainable.model.parameters())
    need_disk(scratch, max(6 * trained, 3 * trained + whole) - checkpoint.size(scratch), "Training")
