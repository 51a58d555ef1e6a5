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
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal, ParamSpec, TypeVar

from pydantic import Field

from instar.errors import BudgetSpent, Cancelled, DataError, ModelError, StoreError
from instar.protocols import Update, Workshop, identity
from instar.records import Experience, Feedback, Learned, Policy, Said, Solution, Task, Weights, hash_of
from instar.scripted_world import teach, weights_of
from instar.update.weights import checkpoint
from instar.update.weights.checkpoint import Checkpoint
from instar.update.weights.hardware import AT_ONCE, Device, card, device_of, need_disk, precision_of, tokens_at_once
from instar.update.weights.lessons import graded, learned_of, lessons_of
from instar.update.weights.policy_gradient import Clip, LossType
from instar.update.weights.trainee import Aims, Trainee

RECORDED = {"records": True}
"""What is journalled of a rollout that is whole: its answers are records."""
P = ParamSpec("P")
T = TypeVar("T")


class Grpo(Update):
    """Group policy gradient with its own rollouts, on the practice that the recipe hands in; data are not used.

    ``prompts`` tasks are answered by the weights as they then are (a rollout), and learned from in ``minibatches``
    optimiser steps, ``iterations`` times over; then the next ``prompts``, until every task of the practice had its
    turn; a last rollout may be smaller. The practice's ``solve`` gives a task's group, its ``judge`` the rewards; an
    answer without a score is left out of its group. ``loss_type`` says how tokens are averaged: see
    ``policy_gradient.token_weights``. The learning rate rises over ``warmup`` steps and then stays;
    ``tokens_at_once``, ``recompute`` and ``device`` as in SFT.

    Each rollout is journalled before it is learned from, and training is deterministic on a CPU: a run that was killed
    ends with the weights it would have had. A checkpoint is written every ``checkpoint_seconds`` between rollouts.

    Raises DataError if it was handed no practice, ModelError if the weights cannot be opened or training diverges,
    StoreError for a full disk or a damaged checkpoint; Cancelled and BudgetSpent pass through after a checkpoint.
    """

    name: ClassVar[str] = "grpo"
    version: ClassVar[int] = 2  # 1 held all logits of a pass
    late: ClassVar[frozenset[str]] = frozenset({"device", "recompute"})

    prompts: int = Field(default=32, ge=1)
    minibatches: int = Field(default=1, ge=1)
    iterations: int = Field(default=1, ge=1)
    loss_type: LossType = "grpo"
    scale_rewards: Literal["group", "none"] = "group"
    epsilon_low: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float = Field(default=0.2, gt=0)
    beta: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=1e-5, gt=0)
    warmup: int = Field(default=0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    max_length: int = Field(default=1024, ge=2)
    tokens_at_once: int = Field(default=AT_ONCE, ge=1)
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    recompute: bool = False
    device: Device = "auto"

    async def __call__(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Policy:
        if policy.adapters:
            raise ModelError(
                f"The policy carries adapters ({', '.join(sorted(policy.adapters))}), which were made for its weights.",
                "Merge or remove them before its weights are trained.",
            )
        if shop.practice is None or not shop.practice.tasks:
            raise DataError(
                "GRPO was handed no task to roll out on: it does not train on given answers.",
                "Hand it practice (the recipe grpo does), or train on answers with sft.",
            )
        tasks = shop.practice.tasks
        rollouts = [tasks[i : i + self.prompts] for i in range(0, len(tasks), self.prompts)]
        if policy.weights.place == "scripted":
            weights = await self._taught(policy, rollouts, shop)
        else:
            weights = await self._trained(policy, rollouts, shop)
        changed = {"weights": weights, "parent": policy.id, "made_by": self.name, "id": ""}
        return policy.model_copy(update=changed).identified()

    # --- the scripted model ---------------------------------------------------------------------------------------

    async def _taught(self, policy: Policy, rollouts: Sequence[Sequence[Task]], shop: Workshop) -> Weights:
        """The scripted model's table of skills, moved by the answers that were better than their group's mean."""
        weights = policy.weights
        for number, tasks in enumerate(rollouts):
            at_hand = policy.model_copy(update={"weights": weights, "id": ""}).identified()
            tries = _recalled(number, tasks, shop)
            if tries is None:
                tries = await _rolled(number, at_hand, tasks, shop)
            better = [e for e, a in graded(tries, scaled=self.scale_rewards == "group") if a > 0]
            rows = [(e.task.question, e.solution.text) for e in better]
            shop.learned(Learned(e.solution.id, n) for e in better for n, t in enumerate(e.solution.turns) if t.train)
            skills = dict(weights.skills or {})
            for _ in range(self.iterations):
                skills = teach(skills, rows)
            weights = weights_of(skills, policy.weights.name)
            shop.progress(number + 1, len(rollouts), note=f"{len(better)} better answers of {len(tries)}")
        return weights

    # --- real weights ---------------------------------------------------------------------------------------------

    async def _trained(self, policy: Policy, rollouts: Sequence[Sequence[Task]], shop: Workshop) -> Weights:
        assert shop.practice is not None
        parent = shop.artefacts.open(policy.weights.digest)
        device = device_of(self.device)
        precision = precision_of(self.precision, device=device)
        # how often it is checkpointed does not change what comes out: it may differ between a kill and the resume
        config = {k: v for k, v in identity(self).items() if not k.startswith("checkpoint_")}
        practice = [shop.practice.solve.op_id, shop.practice.judge.op_id, [[t.id for t in ts] for ts in rollouts]]
        place = () if device == "cpu" else (device,)
        belongs = hash_of("grpo", policy.weights.digest, config, precision, shop.seed, practice, *place)
        done = shop.recall("trained")
        if done and done.get("belongs") == belongs and shop.artefacts.has(done["digest"]):
            await self._tell(policy, parent, rollouts, shop)
            return Weights(place="artefact", digest=done["digest"], name=policy.weights.name)
        with ThreadPoolExecutor(1, "grpo") as thread:  # one: torch keeps a pool of workers for each that calls it
            session = _Session(self, policy, parent, belongs, precision == "bfloat16", device, shop, thread)
            digest = await session.train(rollouts)
        await self._tell(policy, parent, rollouts, shop)
        await shop.remember("trained", {"belongs": belongs, "digest": digest})
        checkpoint.clear(shop.scratch)
        return Weights(place="artefact", digest=digest, name=policy.weights.name)

    async def _tell(self, policy: Policy, parent: Path, rollouts: Sequence[Sequence[Task]], shop: Workshop) -> None:
        """Say what was learned: from the rollouts as they are kept, for some may have been learned before a kill."""

        def learned() -> Iterator[Learned]:
            for number, tasks in enumerate(rollouts):
                answers = graded(_recalled(number, tasks, shop) or (), scaled=self.scale_rewards == "group")
                yield from learned_of(policy, answers, parent, self.max_length, shop.exchanges)

        with shop.timed("train"):
            shop.learned(await asyncio.to_thread(lambda: list(learned())))

    def aims(self, bfloat16: bool, seed: int, device: str = "cpu") -> Aims:
        """What a trainee needs of these settings."""
        return Aims(
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            max_norm=self.clip,
            weight_decay=self.weight_decay,
            loss_type=self.loss_type,
            clip=Clip(self.epsilon_low, self.epsilon_high),
            beta=self.beta,
            iterations=self.iterations,
            bfloat16=bfloat16,
            seed=seed,
            tokens_at_once=tokens_at_once(self.tokens_at_once, device),
            recompute=self.recompute,
            device=device,
        )


class _Session:
    """One call's training: rollouts on the run's loop, everything that takes torch in one thread beside it."""

    def __init__(
        self, op: Grpo, policy: Policy, parent: Path, belongs: str, bfloat16: bool, device: str, shop: Workshop,
        thread: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self.op, self.policy, self.parent, self.belongs, self.shop = op, policy, parent, belongs, shop
        self.bfloat16, self.device, self.thread = bfloat16, device, thread
        self.history: dict[str, Any] = {"rollouts": [], "losses": [], "optimiser_steps": 0, "tokens_fed": 0}
        self.name = policy.weights.digest
        """What the weights at hand are called: from what they began as and every rollout they learned from."""
        self.done = self.kept = 0
        """Rollouts learned from, and of these in the checkpoint. Set in the training thread, when it is so."""
        self.last_kept = time.monotonic()

    async def train(self, rollouts: Sequence[Sequence[Task]]) -> str:
        """Roll out and learn until every task had its turn. Returns the digest of the new artefact."""
        self.shop.scratch.mkdir(parents=True, exist_ok=True)
        trainee = await self._in_thread(self._open)
        try:
            while self.done < len(rollouts):
                tasks = rollouts[self.done]
                tries = _recalled(self.done, tasks, self.shop)
                if tries is None:
                    tries = await self._roll_out(trainee, tasks)
                note, tokens = await self._in_thread(self._learn, trainee, tries)
                self.shop.progress(self.done, len(rollouts), tokens=tokens, note=note)
                if self.done < len(rollouts) and self._due():
                    await self._in_thread(self._keep, trainee)
        except (Cancelled, BudgetSpent, asyncio.CancelledError):
            if self.done > self.kept:
                await self._in_thread(self._keep, trainee)
            raise
        return await self._in_thread(self._finish, trainee)

    async def _roll_out(self, trainee: Trainee, tasks: Sequence[Task]) -> list[Experience]:
        if self.done == 0:
            return await _rolled(0, self.policy, tasks, self.shop)
        folder = self.shop.scratch / "at-hand"
        await self._in_thread(self._save, trainee, folder)
        weights = Weights(place="artefact", digest=self.name, name=self.policy.weights.name)
        at_hand = self.policy.model_copy(update={"weights": weights, "id": ""}).identified()
        try:
            with self.shop.artefacts.lend(self.name, folder):
                return await _rolled(self.done, at_hand, tasks, self.shop)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in the training thread; a cancellation waits for it to end, for a thread cannot be cancelled."""
        job = asyncio.wrap_future(self.thread.submit(work, *args, **kwargs))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.wait([job])
            job.exception()  # if it has one too, the cancellation is the news
            raise

    # --- in the training thread -----------------------------------------------------------------------------------

    def _open(self) -> Trainee:
        """The trainee, as its checkpoint has it if there is one."""
        with self.shop.timed("train"):
            trainee = Trainee(self.parent, self.op.aims(self.bfloat16, self.shop.seed, self.device))
        size = sum(p.numel() * 4 for p in trainee.learner.model.parameters())
        need_disk(self.shop.scratch, 7 * size - checkpoint.size(self.shop.scratch), "Training")
        with self.shop.timed("checkpoint"):
            kept = checkpoint.read(self.shop.scratch)
            if kept is not None and kept.belongs == self.belongs:
                trainee.restore(kept)
                self.history, self.name = kept.history, str(kept.history["weights"])
                self.done = self.kept = kept.step
            elif kept is not None:  # it cannot be: scratch belongs to one call; but it must never be trained on
                checkpoint.clear(self.shop.scratch)
                self.shop.progress(0, 1, note="a checkpoint of other data, settings or device was set aside")
        return trainee

    def _learn(self, trainee: Trainee, tries: Sequence[Experience]) -> tuple[str, int]:
        with self.shop.timed("train"):
            answers = graded(tries, scaled=self.op.scale_rewards == "group")
            lessons, refused = lessons_of(
                self.policy, answers, self.parent, self.op.max_length, self.op.minibatches, self.shop.exchanges
            )
            took = trainee.learn(lessons)
        scores = [e.feedback.score for e, _ in answers if e.feedback is not None and e.feedback.score is not None]
        mean = sum(scores) / max(len(scores), 1)
        heard = sum(a != 0 for _, a in answers)
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
        self.history["optimiser_steps"] = trainee.steps
        self.history["tokens_fed"] += sum(t.fed for t in took)
        self.name = hash_of("grpo weights", self.name, [_dumped(e) for e in tries])
        self.done += 1
        tokens = sum(len(a.row.ids) for lesson in lessons for a in lesson.answers)
        return f"reward {mean:.3f}, {heard} of {len(tries)} answers with signal", tokens

    def _due(self) -> bool:
        steps = self.op.checkpoint_steps
        if steps is not None and self.done - self.kept >= steps:
            return True
        return time.monotonic() - self.last_kept >= self.op.checkpoint_seconds

    def _keep(self, trainee: Trainee) -> None:
        with self.shop.timed("checkpoint"):
            self.history["weights"] = self.name
            checkpoint.write(self.shop.scratch, Checkpoint(self.done, self.belongs, self.history, trainee.state()))
        self.last_kept, self.kept = time.monotonic(), self.done

    def _save(self, trainee: Trainee, folder: Path) -> None:
        with self.shop.timed("save"):
            trainee.save(folder)

    def _finish(self, trainee: Trainee) -> str:
        folder = self.shop.scratch / "trained"
        self._save(trainee, folder)
        with self.shop.timed("save"):
            self.history.pop("weights", None)
            config = {k: v for k, v in identity(self.op).items() if not k.startswith("checkpoint_")}
            precision = "bfloat16" if self.bfloat16 else "float32"
            about = {"update": config, "precision": precision, **card(self.device), **self.history}
            try:
                (folder / "training.json").write_text(json.dumps(about, indent=1, sort_keys=True), "utf-8")
            except OSError as e:
                shutil.rmtree(folder, ignore_errors=True)
                raise StoreError(f"{folder} could not be written: {e}.", "Free some disk space.") from e
            return self.shop.artefacts.put(folder)


async def _rolled(number: int, at_hand: Policy, tasks: Sequence[Task], shop: Workshop) -> list[Experience]:
    """Rollout ``number``, made now and recorded whole before anything is learned from it."""
    made = await shop.roll_out(f"rollout {number}", at_hand, tasks)
    await shop.remember(_key(number), RECORDED)
    return made


def _recalled(number: int, tasks: Sequence[Task], shop: Workshop) -> list[Experience] | None:
    """Rollout ``number`` as it was made; None if it was not made yet."""
    said = shop.recall(_key(number))
    if said is None:
        return None
    if said == RECORDED:
        return shop.rolled_out(f"rollout {number}", tasks)
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
