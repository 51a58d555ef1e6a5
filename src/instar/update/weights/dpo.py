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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from instar.errors import DataError, NothingLearned
from instar.protocols import Update, Workshop
from instar.records import OWN, Experience, Learned, Pair, Policy, Weights
from instar.update.weights import checkpoint
from instar.update.weights.batches import plan
from instar.update.weights.hardware import Device, Precision, device_of, need_disk, precision_of, tokens_at_once
from instar.update.weights.loop import Settings
from instar.update.weights.losses.preferences import Preference, Shape
from instar.update.weights.model import Learner, Lora, open_learner, save
from instar.update.weights.pair_rows import NO_PAIRS, PairRows, answers_of, pair_rows
from instar.update.weights.preferring import prefer
from instar.update.weights.scripted import ScriptedTrainer
from instar.update.weights.session import belongs, in_thread, made_once, put, refuse_adapters, with_weights


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
    clip: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    lora: Lora | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=1024, ge=2)
    tokens_at_once: int | None = Field(default=None, ge=1)
    recompute: bool = False
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

    async def __call__(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Policy:
        refuse_adapters(policy)
        reference = shop.references.get("reference", policy)
        refuse_adapters(reference)
        if shop.pairs is None:
            raise DataError(
                f"{self.name} was handed no pairs: it does not train on single answers.",
                "Pair them (run.pair; the recipe dpo does), or train on answers with sft.",
            )
        if not shop.pairs:
            raise NothingLearned(NO_PAIRS)
        if policy.weights.place == "scripted":
            weights = self._taught(policy, reference, shop.pairs, shop)
        else:
            weights = await self._trained(policy, reference, shop.pairs, shop)
        return with_weights(policy, weights, self.name)

    def _taught(self, policy: Policy, reference: Policy, pairs: Sequence[Pair], shop: Workshop) -> Weights:
        """The scripted model's table of skills, moved by the pairs."""
        chosen, rejected = answers_of(pairs)
        for answers, sign in ((chosen, 1), (rejected, -1)):
            shop.learned(
                Learned(e.id, n, sign=sign)
                for e in answers.values()
                for n, turn in enumerate(e.solution.turns)
                if turn.train and turn.kind in OWN
            )
        trainer = ScriptedTrainer(policy.weights)
        before = reference.weights.skills or {}
        batches = [pairs[i : i + self.batch_size] for i in range(0, len(pairs), self.batch_size)] * self.epochs
        for batch in batches:
            trainer.prefer(batch, before, self.beta, shop)
            shop.progress(trainer.steps, len(batches))
        return trainer.weights

    async def _trained(self, policy: Policy, reference: Policy, pairs: Sequence[Pair], shop: Workshop) -> Weights:
        parent = shop.artefacts.open(policy.weights.digest)
        rows = pair_rows(policy, pairs, parent, self.max_length, shop.exchanges)
        shop.learned(rows.learned)
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        learned = [[list(r) for r in rows.rows], [list(p) for p in rows.pairs], reference.weights.digest]
        mine = belongs("preferring", self, policy, precision, device, shop, learned)

        async def make() -> str:
            stop = threading.Event()  # set, it ends after its step, with a checkpoint
            with ThreadPoolExecutor(1, "dpo") as thread:
                work = partial(self._in_thread, policy, reference, parent, rows, precision, device, mine, shop, stop)
                return await in_thread(thread, stop.set, work)

        return await made_once(policy, mine, shop, make)

    def _in_thread(
        self, policy: Policy, reference: Policy, parent: Path, rows: PairRows, precision: Precision, device: str,
        belongs: str, shop: Workshop, stop: threading.Event,
    ) -> str:  # fmt: skip
        """Everything that takes time. Returns the digest of the new artefact."""
        shop.scratch.mkdir(parents=True, exist_ok=True)
        with shop.timed("train"):
            learner = open_learner(parent, self.lora, shop.seed, recompute=self.recompute, device=device)
        _check_disk(learner, shop.scratch)
        longest = [max((*p.chosen, *p.rejected), key=lambda i: len(rows.rows[i].ids)) for p in rows.pairs]
        steps = plan([rows.rows[i] for i in longest], batch_size=self.batch_size, epochs=self.epochs, seed=shop.seed)
        settings = Settings(
            learning_rate=self.learning_rate, warmup=self.warmup, clip=self.clip, weight_decay=self.weight_decay,
            bfloat16=precision == "bfloat16", seed=shop.seed, belongs=belongs,
            checkpoint_seconds=self.checkpoint_seconds, checkpoint_steps=self.checkpoint_steps,
            tokens_at_once=tokens_at_once(self.tokens_at_once, device),
        )  # fmt: skip

        def held_against() -> Learner | None:
            if reference.weights.digest == policy.weights.digest:
                return None
            return open_learner(shop.artefacts.open(reference.weights.digest), None, shop.seed, device=device)

        history = prefer(
            learner, rows.rows, rows.pairs, steps, self.shape, settings, self.max_length, held_against, shop, stop
        )
        told = {
            "layout": "prefix trees" if learner.trees else "padded rows",
            "pairs": len(rows.pairs),
            "refused": rows.refused,
            "steps": len(steps),
            **history,
        }
        return put(self, precision, device, told, shop, lambda folder: save(learner, parent, folder))


def _check_disk(learner: Learner, scratch: Path) -> None:
    """As SFT: two checkpoints, or one and the trained weights."""
    trained = sum(p.numel() * 4 for p in learner.parameters().values())
    whole = sum(p.numel() * 4 for p in learner.model.parameters())
    need_disk(scratch, max(6 * trained, 3 * trained + whole) - checkpoint.size(scratch), "Training")
