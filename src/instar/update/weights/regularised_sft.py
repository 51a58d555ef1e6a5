"""Supervised fine-tuning that is held near a reference, so that what is not in the rows is kept.

Papers: with the terms themselves (``terms``). A weight of 0 leaves a term out; with all at 0 it is SFT.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import Cancelled, ConfigError
from instar.protocols import UpdateContext
from instar.records import Experience, Policy, Weights, hash_of
from instar.scripted_world import START, weights_of
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.rows import Rows, rows_of
from instar.update.weights.losses.terms import Pull, Term, TokenKL, fisher, read_fisher, write_fisher
from instar.update.weights.sft import SFT, _check_disk
from instar.update.weights.trainer.hardware import Precision, device_of, max_tokens_per_microbatch
from instar.update.weights.trainer.loop import Settings, train
from instar.update.weights.trainer.model import TrainableModel, open_trainable
from instar.update.weights.trainer.session import in_thread, put, settings_of


class RegularisedSFT(SFT):
    """As SFT, with terms beside its loss. ``kl`` weighs the divergence of the answer tokens' distributions from the
    reference's, in nats a token (``direction`` "forward": KL(reference || policy)); ``l2_sp`` the squared distance of
    the weights; ``ewc`` the same, each weight as important as the Fisher information of up to ``fisher_rows`` answers
    that the policy learned before says: where it learned none, there is nothing to hold and the term is left out, which
    is said.

    ``reference`` names one of the references that the recipe hands over; "" is the policy that is trained. With
    ``lora`` the weights that are held are those of the adapter, so ``l2_sp`` and ``ewc`` pull to where it began, and
    ``reference`` must be "" for them.

    The Fisher information lies in the call's scratch until its training is done: it is made once, and a training that
    is killed goes on with it.

    Raises as SFT does; ConfigError for a reference that is not there; StoreError where its weights are gone.
    """

    name: ClassVar[str] = "regularised_sft"
    version: ClassVar[int] = 1
    late: ClassVar[frozenset[str]] = frozenset()

    kl: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    direction: Literal["forward", "reverse"] = "forward"
    l2_sp: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    ewc: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    fisher_rows: int = Field(default=64, ge=1)
    reference: str = ""

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        reference = self._reference(policy, context)
        if reference.weights.place == "artefact":
            context.artefacts.open(reference.weights.digest)  # before the rows are made: it may be gone
        return await super().__call__(policy, data, context)

    def _reference(self, policy: Policy, context: UpdateContext) -> Policy:
        if not self.reference:
            return policy
        if self.reference not in context.references:
            raise ConfigError(
                f"regularised_sft holds to the reference {self.reference!r}, and the recipe hands over "
                f"{', '.join(sorted(context.references)) or 'none'}.",
                'Set reference to one of them, or to "" for the policy that is trained.',
            )
        if self.lora is not None and (self.l2_sp or self.ewc):
            raise ConfigError(
                "regularised_sft with lora pulls the adapter's weights, which the reference does not have.",
                'Set reference to "", or hold it by kl.',
            )
        return context.references[self.reference]

    def _taught(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Weights:
        """The scripted model's skills, moved as SFT moves them and then pulled back: the harder, the nearer to the
        reference they stay."""
        taught = super()._taught(policy, data, context)
        to = {**START, **(self._reference(policy, context).weights.skills or {})}
        share = 1 / (1 + self.kl + self.l2_sp + self.ewc)
        skills = {k: to.get(k, v) + share * (v - to.get(k, v)) for k, v in (taught.skills or {}).items()}
        return weights_of(skills, taught.name)

    def _in_thread(
        self, policy: Policy, parent: Path, rows: Rows, precision: Precision, device: str, belongs: str,
        context: UpdateContext, stop: threading.Event,
    ) -> str:  # fmt: skip
        """SFT's, which stays word for word what runs were made with, and the terms."""
        context.scratch.mkdir(parents=True, exist_ok=True)
        opened = partial(open_trainable, seed=context.seed, device=device)
        with context.timed("train"):
            trainable = opened(parent, self.lora, gradient_checkpointing=self.gradient_checkpointing)
        _check_disk(trainable, context.scratch)
        with context.timed("train"):
            terms = self._terms(policy, parent, trainable, opened, precision, context)
        steps = plan(rows.kept, batch_size=self.batch_size, epochs=self.epochs, seed=context.seed)
        settings = Settings(
            learning_rate=self.learning_rate, warmup=self.warmup, max_grad_norm=self.max_grad_norm,
            weight_decay=self.weight_decay, bfloat16=precision == "bfloat16", seed=context.seed,
            belongs=hash_of("steps", belongs, steps),
            checkpoint_seconds=self.checkpoint_seconds, checkpoint_steps=self.checkpoint_steps,
            max_tokens_per_microbatch=max_tokens_per_microbatch(self.max_tokens_per_microbatch, device),
        )  # fmt: skip
        told = {
            "layout": "prefix trees" if trainable.trees else "padded rows",
            "rows": len(rows.kept),
            "refused": rows.refused,
            "steps": len(steps),
            "terms": [term.name for term in terms],
            **train(trainable, rows.kept, steps, settings, context, stop, terms),
        }
        return put(self, precision, device, told, context, lambda folder: self.save(trainable, parent, folder, policy))

    def _terms(
        self, policy: Policy, parent: Path, trainable: TrainableModel, opened: Callable[..., TrainableModel],
        precision: Precision, context: UpdateContext,
    ) -> list[Term]:  # fmt: skip
        """What stands beside the loss, from the weights as they were before the first step."""
        place = context.artefacts.open(self._reference(policy, context).weights.digest)
        other = opened(place, None) if self.kl or place != parent else None
        terms: list[Term] = []
        if self.kl and other is not None:
            terms.append(TokenKL(other, self.kl, self.direction, bfloat16=precision == "bfloat16"))
        if self.l2_sp or self.ewc:
            held = trainable.parameters() if place == parent or other is None else other.parameters()
            to = {name: p.detach().clone() for name, p in held.items()}
            if self.l2_sp:
                terms.append(Pull(self.l2_sp, to))
            if self.ewc and (weighed := self._weighed(policy, context)).exists():
                terms.append(Pull(self.ewc, to, read_fisher(weighed, trainable.device)))
        return terms

    async def _trained(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Weights:
        weighed = self._weighed(policy, context)
        if self.ewc and not weighed.exists():
            await self._weigh(policy, weighed, context)
        made = await super()._trained(policy, data, context)
        shutil.rmtree(weighed, ignore_errors=True)  # as large as half the model, and no record names it
        return made

    def _sampled(self, policy: Policy, context: UpdateContext) -> list[Experience]:
        """What the policy learned before, up to ``fisher_rows`` of it, spread over all from the oldest on."""
        earlier = list(context.ancestors(policy))
        count = min(len(earlier), self.fisher_rows)
        return [earlier[i * len(earlier) // count] for i in range(count)]

    def _weighed(self, policy: Policy, context: UpdateContext) -> Path:
        """Where this call's Fisher information lies, once it is made: whole or not at all."""
        rows = [e.id for e in self._sampled(policy, context)] if self.ewc else []
        mine = hash_of("fisher", policy.weights.digest, settings_of(self), context.seed, rows)
        return context.scratch / f"fisher-{mine.split(':')[-1][:16]}"

    async def _weigh(self, policy: Policy, weighed: Path, context: UpdateContext) -> None:
        """Make the Fisher information of what the policy learned before."""
        earlier = self._sampled(policy, context)
        if not earlier:
            context.progress(0, 1, note="this policy learned nothing in this run yet: ewc has nothing to hold")
            return
        parent, device = context.artefacts.open(policy.weights.digest), device_of(self.device)
        rows = rows_of(policy, earlier, parent, self.max_length, context.exchanges).kept
        stop = threading.Event()

        def make() -> None:
            with context.timed("train"):
                trainable = open_trainable(parent, self.lora, context.seed, device=device)

                def told(done: int) -> None:
                    context.progress(done, len(rows), note="weighing what was learned before")
                    if stop.is_set():
                        raise Cancelled("Training was cancelled.", "Resume the run: this is made again.")

                found = fisher(
                    trainable, rows, told, at_once=max_tokens_per_microbatch(self.max_tokens_per_microbatch, device)
                )
            half = context.scratch / "fisher-half"
            shutil.rmtree(half, ignore_errors=True)
            write_fisher(half, found)
            half.rename(weighed)

        with ThreadPoolExecutor(1, "fisher") as thread:
            await in_thread(thread, stop.set, make)
