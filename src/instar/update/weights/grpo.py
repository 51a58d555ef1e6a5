"""GRPO: the model answers a task several times, and answers better than their group's mean become likelier.

Paper: Shao et al., *DeepSeekMath*, arXiv 2402.03300, section 4.1. Per rollout: G answers to each task, reward by the
judge, advantage = reward less the group's mean over the group's deviation, a clipped surrogate per token. Its settings:
G = 64, learning rate 1e-6, clip 0.2, KL weight 0.04, one pass over a rollout.

Departures, each a setting:
- 1e-5 and no KL by default: a small model, and rewards that a verifier gives and nobody can flatter (DAPO, arXiv
  2503.14476, and TRL leave the KL out too). Clipping may be wider upwards (DAPO's clip-higher). With KL, its estimate
  is weighed by the importance ratio, as in TRL.
- A group whose rewards are all alike has no signal: it is not forwarded. It counts in the averages, so value and
  gradient are those of the whole batch (without KL; with it, all are forwarded).
- The importance ratio is against the weights that sampled, whose log-probabilities the trainer computes at the sampling
  temperature when a rollout serves more than one step, as TRL does without vLLM. The engine's own arithmetic (bf16,
  int8) and any top-k or top-p cut are not corrected for.
- Answers to one prompt, and prompts that begin alike, are forwarded as one prefix tree.
- With ``step_credit`` a step of an episode has an advantage of its own, by labels of the steps (AgentEvolver, arXiv
  2511.10395); the judge must give them (``step_credit``, around the judge that scores). A group whose rewards are all
  alike is then learned from by its labels alone.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, ParamSpec, TypeVar

from pydantic import Field

from instar.errors import BudgetSpent, Cancelled, DataError, NothingLearned
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Feedback, Learned, Policy, Said, Solution, Task, Weights, hash_of
from instar.update.weights.losses.grpo import Clip, LossType
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.group_batches import SILENT, Graded, figures, graded, group_batches_of, learned_of
from instar.update.weights.trainer.grpo_trainer import GrpoSettings, GrpoTrainer
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
from instar.update.weights.trainer.keeper import Keeper
from instar.update.weights.trainer.scripted import ScriptedTrainer
from instar.update.weights.trainer.session import belongs, in_thread, made_once, put, refuse_adapters, with_weights
from instar.update.weights.trainer.trainer import warm_steps

RECORDED = {"records": True}
"""What is journalled of a rollout that is whole: its answers are records."""
P = ParamSpec("P")
T = TypeVar("T")


class Grpo(Update):
    """Group policy gradient with its own rollouts, on the prompts that the recipe hands in; data are not used.

    ``prompts`` tasks are answered by the weights as they then are (a rollout), and learned from in ``minibatches``
    optimiser steps, ``iterations`` times over; then the next ``prompts``, until every task of the rollout prompts
    had its turn; a last rollout may be smaller. Their ``solve`` gives a task's group, its ``judge`` the rewards; an
    answer without a score is left out of its group. ``loss_type`` says how tokens are averaged: see
    ``losses.grpo.token_weights``. The learning rate rises over ``warmup`` steps (below 1: a
    share of those that are planned) and then stays; ``max_tokens_per_microbatch``, ``gradient_checkpointing`` and
    ``device`` as in SFT.

    Each rollout is journalled before it is learned from, and training is deterministic on a CPU: a run that was killed
    ends with the weights it would have had. A checkpoint is written every ``checkpoint_seconds`` between rollouts that
    changed the weights.

    Raises DataError if it was handed no rollout prompts, ModelError if the weights cannot be opened or training
    diverges, StoreError for a full disk or a damaged checkpoint; Cancelled and BudgetSpent pass through after a
    checkpoint.
    """

    name: ClassVar[str] = "grpo"
    version: ClassVar[int] = 2  # 1 held all logits of a pass
    late: ClassVar[frozenset[str]] = frozenset({"device", "gradient_checkpointing", "step_credit"})
    once: ClassVar[Mapping[str, int]] = {"max_tokens_per_microbatch": AT_ONCE}
    former: ClassVar[Mapping[str, str]] = FORMER

    prompts: int = Field(default=32, ge=1)
    minibatches: int = Field(default=1, ge=1)
    iterations: int = Field(default=1, ge=1)
    loss_type: LossType = "grpo"
    scale_rewards: Literal["group", "none"] = "group"
    epsilon_low: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float = Field(default=0.2, gt=0)
    beta: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=1e-5, gt=0)
    warmup: int | float = Field(default=0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    max_length: int = Field(default=1024, ge=2)
    max_tokens_per_microbatch: int | None = Field(default=None, ge=1)
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    gradient_checkpointing: bool = False
    device: Device = "auto"
    step_credit: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    """What a label of a step weighs beside the answer's advantage; 0: all steps of an answer have its own. The paper of
    the labels (AgentEvolver, arXiv 2511.10395) takes 0.1."""

    def graded(self, tries: Sequence[Experience]) -> list[Graded]:
        """The answers of a rollout with their advantages."""
        return graded(tries, scaled=self.scale_rewards == "group", step_credit=self.step_credit)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        refuse_adapters(policy)
        if context.rollout_prompts is None or not context.rollout_prompts.tasks:
            raise DataError(
                "GRPO was handed no task to roll out on: it does not train on given answers.",
                "Hand it rollout_prompts (the recipe grpo does), or train on answers with sft.",
            )
        tasks = context.rollout_prompts.tasks
        rollouts = [tasks[i : i + self.prompts] for i in range(0, len(tasks), self.prompts)]
        if policy.weights.place == "scripted":
            weights = await self._taught(policy, rollouts, context)
        else:
            weights = await self._trained(policy, rollouts, context)
        return with_weights(policy, weights, self.name)

    # --- the scripted model ---------------------------------------------------------------------------------------

    async def _taught(self, policy: Policy, rollouts: Sequence[Sequence[Task]], context: UpdateContext) -> Weights:
        """The scripted model's table of skills, moved by the answers that were better than their group's mean."""
        trainer, moved = ScriptedTrainer(policy.weights), 0
        for number, tasks in enumerate(rollouts):
            weights = trainer.weights if number else policy.weights
            at_hand = policy.model_copy(update={"weights": weights, "id": ""}).identified()
            tries = _recalled(number, tasks, context)
            if tries is None:
                tries = await _rolled(number, at_hand, tasks, context)
            answers = self.graded(tries)
            context.figures("rollout", number + 1, figures(tries, answers))
            better = [a.experience for a in answers if a.advantage > 0]
            moved += len(better)
            context.learned(
                Learned(e.solution.id, n) for e in better for n, t in enumerate(e.solution.turns) if t.train
            )
            for _ in range(self.iterations):
                trainer.step(better, context)
            note = f"{len(better)} better answers of {len(tries)}" if better else SILENT
            context.progress(number + 1, len(rollouts), note=note)
        if not moved:
            raise NothingLearned(SILENT)
        return trainer.weights

    # --- real weights ---------------------------------------------------------------------------------------------

    async def _trained(self, policy: Policy, rollouts: Sequence[Sequence[Task]], context: UpdateContext) -> Weights:
        assert context.rollout_prompts is not None
        parent = context.artefacts.open(policy.weights.digest)
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        rollout_prompts = [
            context.rollout_prompts.solve.op_id,
            context.rollout_prompts.judge.op_id,
            [[t.id for t in ts] for ts in rollouts],
        ]
        mine = belongs("grpo", self, policy, precision, device, context, rollout_prompts)

        async def make() -> str:
            with ThreadPoolExecutor(1, "grpo") as thread:  # one: torch keeps a pool of workers for each that calls it
                return await _Session(self, policy, parent, mine, precision, device, context, thread).train(rollouts)

        weights = await made_once(policy, mine, context, make)
        await self._tell(policy, parent, rollouts, context)
        return weights

    async def _tell(
        self, policy: Policy, parent: Path, rollouts: Sequence[Sequence[Task]], context: UpdateContext
    ) -> None:
        """Say what was learned: from the rollouts as they are kept, for some may have been learned before a kill."""

        def learned() -> Iterator[Learned]:
            for number, tasks in enumerate(rollouts):
                answers = self.graded(_recalled(number, tasks, context) or ())
                yield from learned_of(policy, answers, parent, self.max_length, context.exchanges)

        with context.timed("train"):
            context.learned(await asyncio.to_thread(lambda: list(learned())))

    def settings(self, bfloat16: bool, seed: int, device: str = "cpu", rollouts: int = 1) -> GrpoSettings:
        """What a trainee needs of these settings."""
        return GrpoSettings(
            learning_rate=self.learning_rate,
            warmup=warm_steps(self.warmup, rollouts * self.minibatches * self.iterations),
            max_grad_norm=self.max_grad_norm,
            weight_decay=self.weight_decay,
            loss_type=self.loss_type,
            clip=Clip(self.epsilon_low, self.epsilon_high),
            beta=self.beta,
            iterations=self.iterations,
            bfloat16=bfloat16,
            seed=seed,
            max_tokens_per_microbatch=max_tokens_per_microbatch(self.max_tokens_per_microbatch, device),
            gradient_checkpointing=self.gradient_checkpointing,
            device=device,
        )


class _Session:
    """One call's training: rollouts on the run's loop, everything that takes torch in one thread beside it."""

    def __init__(
        self, op: Grpo, policy: Policy, parent: Path, belongs: str, precision: Precision, device: str,
        context: UpdateContext, thread: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self.op, self.policy, self.parent, self.context = op, policy, parent, context
        self.precision, self.device, self.thread = precision, device, thread
        self.history: dict[str, Any] = {"rollouts": [], "losses": [], "optimiser_steps": 0, "tokens_fed": 0}
        self.name = policy.weights.digest
        """What the weights at hand are called: from what they began as and every rollout they learned from."""
        self.done = 0
        """Rollouts learned from. Set in the training thread, when it is so."""
        self.keeper = Keeper(context, belongs, op.checkpoint_seconds, op.checkpoint_steps)

    async def train(self, rollouts: Sequence[Sequence[Task]]) -> str:
        """Roll out and learn until every task had its turn. Returns the digest of the new artefact."""
        self.context.scratch.mkdir(parents=True, exist_ok=True)
        with self.keeper:
            grpo_trainer = await self._in_thread(self._open, len(rollouts))
            try:
                while self.done < len(rollouts):
                    tasks = rollouts[self.done]
                    tries = _recalled(self.done, tasks, self.context)
                    if tries is None:
                        tries = await self._roll_out(grpo_trainer, tasks)
                    note, tokens = await self._in_thread(self._learn, grpo_trainer, tries)
                    self.context.progress(self.done, len(rollouts), tokens=tokens, note=note)
                    if self.done < len(rollouts) and self.keeper.due(self.done):
                        await self._in_thread(self._keep, grpo_trainer)
            except (Cancelled, BudgetSpent, asyncio.CancelledError):
                await self._in_thread(self._keep, grpo_trainer)
                await self._in_thread(self.keeper.wait)
                raise
            signal = sum(r["with_signal"] for r in self.history["rollouts"])
            if not signal or not grpo_trainer.steps:
                await self._in_thread(self.keeper.wait)  # what is half written would come after the clearing
                checkpoint.clear(self.context.scratch)
                raise NothingLearned(SILENT if not signal else _refused(signal, self.history["rollouts"]))
            return await self._in_thread(self._finish, grpo_trainer)

    async def _roll_out(self, grpo_trainer: GrpoTrainer, tasks: Sequence[Task]) -> list[Experience]:
        if self.done == 0:
            return await _rolled(0, self.policy, tasks, self.context)
        folder = self.context.scratch / "at-hand"
        await self._in_thread(self._save, grpo_trainer, folder)
        weights = Weights(place="artefact", digest=self.name, name=self.policy.weights.name)
        at_hand = self.policy.model_copy(update={"weights": weights, "id": ""}).identified()
        try:
            with self.context.artefacts.lend(self.name, folder):
                return await _rolled(self.done, at_hand, tasks, self.context)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in the training thread; a cancellation waits for it to end."""
        return await in_thread(self.thread, lambda: None, partial(work, *args, **kwargs))

    # --- in the training thread -----------------------------------------------------------------------------------

    def _open(self, rollouts: int) -> GrpoTrainer:
        """The trainer, as its checkpoint has it if there is one."""
        with self.context.timed("train"):
            settings = self.op.settings(self.precision == "bfloat16", self.context.seed, self.device, rollouts)
            grpo_trainer = GrpoTrainer(self.parent, settings)
        size = sum(p.numel() * 4 for p in grpo_trainer.trainer.trainable.model.parameters())
        need_disk(self.context.scratch, 7 * size - checkpoint.size(self.context.scratch), "Training")
        if (kept := self.keeper.read(1)) is not None:
            with self.context.timed("checkpoint"):
                grpo_trainer.restore(kept)
            self.history, self.name, self.done = kept.history, str(kept.history["weights"]), kept.step
        self.keeper.version = grpo_trainer.steps
        return grpo_trainer

    def _learn(self, grpo_trainer: GrpoTrainer, tries: Sequence[Experience]) -> tuple[str, int]:
        with self.context.timed("train"):
            answers = self.op.graded(tries)
            heard = sum(a.heard for a in answers)
            try:
                group_batches, refused = group_batches_of(
                    self.policy, answers, self.parent, self.op.max_length, self.op.minibatches, self.context.exchanges
                )
            except DataError:  # not one answer can be trained on: all are empty, or too long
                if heard:
                    raise
                group_batches, refused = [], {"no answer could be trained on": len(answers)}
            took = grpo_trainer.learn(group_batches)
        said = [a.experience.feedback for a in answers]
        scores = [f.score for f in said if f is not None and f.score is not None]
        mean = sum(scores) / max(len(scores), 1)
        self.history["rollouts"].append(
            {
                "answers": len(tries),
                "scored": len(scores),
                "with_signal": heard,
                "refused": refused,
                "mean_reward": round(mean, 6),
                "norms": [round(t.norm, 6) for t in took],
                "clipped": [round(t.clipped, 6) for t in took],
            }
        )
        self.history["losses"] += [round(t.loss, 6) for t in took]
        self.history["optimiser_steps"] = grpo_trainer.steps
        self.history["tokens_fed"] += sum(t.fed for t in took)
        self.name = hash_of("grpo weights", self.name, [_dumped(e) for e in tries])
        self.done += 1
        tokens = sum(len(a.row.ids) for group_batch in group_batches for a in group_batch.answers)
        self.context.figures("rollout", self.done, figures(tries, answers))
        for number, t in enumerate(took, grpo_trainer.steps - len(took) + 1):
            told = {"loss": t.loss, "gradient_norm": t.norm, "learning_rate": t.rate, "clipped": t.clipped}
            if t.kl is not None:
                told["kl"] = t.kl
            self.context.figures("step", number, told | {"tokens": t.fed})
        if not heard:
            return f"reward {mean:.3f}, {SILENT}", tokens
        return f"reward {mean:.3f}, {heard} of {len(tries)} answers with signal", tokens

    def _keep(self, grpo_trainer: GrpoTrainer) -> None:
        self.history["weights"] = self.name
        self.keeper.keep(self.done, grpo_trainer.steps, self.history, grpo_trainer.trainer.state)

    def _save(self, grpo_trainer: GrpoTrainer, folder: Path) -> None:
        with self.context.timed("save"):
            grpo_trainer.save(folder)

    def _finish(self, grpo_trainer: GrpoTrainer) -> str:
        self.keeper.wait()
        self.history.pop("weights", None)
        return put(self.op, self.precision, self.device, self.history, self.context, grpo_trainer.save)


def _refused(signal: int, rollouts: Sequence[Mapping[str, Any]]) -> str:
    reasons = sorted({reason for r in rollouts for reason in r["refused"]})
    return f"nothing was learned: none of the {signal} answers with signal could be trained on ({'; '.join(reasons)})"


async def _rolled(number: int, at_hand: Policy, tasks: Sequence[Task], context: UpdateContext) -> list[Experience]:
    """Rollout ``number``, made now and recorded whole before anything is learned from it."""
    made = await context.roll_out(f"rollout {number}", at_hand, tasks)
    await context.remember(_key(number), RECORDED)
    return made


def _recalled(number: int, tasks: Sequence[Task], context: UpdateContext) -> list[Experience] | None:
    """Rollout ``number`` as it was made; None if it was not made yet."""
    said = context.recall(_key(number))
    if said is None:
        return None
    if said == RECORDED:
        return context.rolled_out(f"rollout {number}", tasks)
    # begun by an older instar, which kept it as a whole beside the update
    by_id = {t.id: t for t in tasks}
    return [_loaded(by_id[row["solution"]["task"]], row) for row in said]


def _key(number: int) -> str:
    return f"rolled out {number}"


def _dumped(e: Experience) -> dict[str, Any]:
    """What names the weights that learned it. Feedback stands in it without its id, which it did not always have."""
    said = {**e.feedback.model_dump(mode="json"), "id": ""} if e.feedback is not None else None
    return {"solution": e.solution.model_dump(mode="json"), "feedback": said}


def _loaded(task: Task, row: dict[str, Any]) -> Experience:
    feedback = Feedback.model_validate(row["feedback"]) if row["feedback"] is not None else None
    solution = Solution.model_validate(row["solution"])
    if "said" in row:
        turns = zip(solution.turns, row["said"], strict=True)
        turns_said = tuple(
            t.model_copy(update={"said": None if s is None else Said.model_validate(s)}) for t, s in turns
        )
        solution = solution.model_copy(update={"turns": turns_said})
    return Experience(task=task, solution=solution, feedback=feedback)
