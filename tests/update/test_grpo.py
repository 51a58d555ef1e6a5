"""GRPO as an update: it rolls out with the weights at hand, learns, and a kill changes neither rollouts nor weights."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.errors import BudgetSpent, Cancelled, DataError, InstarError, ModelError, NothingLearned
from instar.protocols import RolloutPrompts
from instar.records import Experience, Feedback, Finish, Mark, Message, Policy, Role, Sampling, Solution, Task, Turn
from instar.scripted_world import base_policy
from instar.update.weights.grpo import Grpo
from instar.update.weights.trainer import checkpoint
from instar.update.weights.trainer.group_batches import graded, group_batches_of
from tests.update.tiny import Context, make_model, policy_in

OP = Grpo(prompts=3, learning_rate=1e-2, precision="float32", checkpoint_steps=2, checkpoint_seconds=1e9)
ROLLOUTS = 4
GROUP = 4


def task(i: int) -> Task:
    message = Message(role=Role.user, content=f"{i}+{i + 3}")
    return Task(
        id=f"t{i}", messages=(message,), ability="add", canonical=str(i), source="test", private={"answer": 2 * i + 3}
    )


PRACTICE = RolloutPrompts(
    [task(i) for i in range(3 * ROLLOUTS - 1)], Sample(samples=GROUP, sampling=Sampling(max_tokens=8)), Verify()
)


def answered(of: Task, text: str, i: int, score: float | None) -> Experience:
    solution = Solution(
        id=f"{of.id}/{i}", task=of.id, turns=(Turn(text=text),), policy="p", engine="e", precision="f32",
        sampling=Sampling(max_tokens=8), finish=Finish.stop,
    )  # fmt: skip
    mark = Mark.invalid if score is None else Mark.right if score == 1 else Mark.wrong
    said = Feedback(id=f"f{solution.id}", solution=solution.id, score=score, mark=mark, source="verifier")
    return Experience(task=of, solution=solution, feedback=said)


class Practising(Context):
    """An update context whose rollouts are a matter of luck: rolled out twice, they would be others. Half are right."""

    def __init__(self, root: Path, *, luck: int = 1, **more: Any) -> None:
        super().__init__(root, **more)
        self.rollout_prompts: RolloutPrompts | None = PRACTICE
        self.luck = random.Random(luck)
        self.asked: list[tuple[str, str]] = []
        self.weights: list[bytes] = []
        self.lent: dict[str, Path] = {}
        store = self.artefacts
        opened = store.open
        store.open = lambda digest: self.lent.get(digest) or opened(digest)  # type: ignore[method-assign]
        store.lend = self._lend  # type: ignore[attr-defined]

    @contextmanager
    def _lend(self, digest: str, folder: Path) -> Iterator[None]:
        self.lent[digest] = folder
        yield
        del self.lent[digest]

    async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        self.asked.append((name, policy.weights.digest))
        if policy.weights.place == "artefact":
            self.weights.append((self.artefacts.open(policy.weights.digest) / "model.safetensors").read_bytes())
        made = []
        for t in tasks:
            gold = t.private["answer"]
            for i in range(GROUP):
                right = self.luck.random() < 0.5
                text = f"{gold}." if right else f"{gold + self.luck.randint(1, 9)}."
                made.append(answered(t, text, i, float(right)))
        self.journal[f"answers of {name}"] = made
        return made

    def rolled_out(self, name: str, tasks: Sequence[Task]) -> list[Experience]:
        found: list[Experience] = self.journal[f"answers of {name}"]
        return found


def trained(context: Context, folder: Path, op: Grpo = OP) -> Policy:
    return asyncio.run(op(policy_in(context, folder), (), context))


def history(context: Context, policy: Policy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((context.artefacts.open(policy.weights.digest) / "training.json").read_text())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> tuple[Policy, Practising]:
    context = Practising(tmp_path_factory.mktemp("undisturbed"))
    return trained(context, folder), context


def test_each_rollout_is_by_the_weights_as_they_then_are(undisturbed: tuple[Policy, Practising], folder: Path) -> None:
    policy, context = undisturbed
    assert [name for name, _ in context.asked] == [f"rollout {i}" for i in range(ROLLOUTS)]
    assert len({digest for _, digest in context.asked}) == ROLLOUTS
    assert len(set(context.weights)) == ROLLOUTS
    assert context.weights[0] == (folder / "model.safetensors").read_bytes()
    told = history(context, policy)
    assert told["optimiser_steps"] == len(told["losses"]) == ROLLOUTS
    assert [r["answers"] for r in told["rollouts"]] == [12, 12, 12, 8]
    assert policy.made_by == "grpo"
    assert policy.id == policy.identified().id != policy.parent
    assert context.done == [1, 2, 3, 4]
    tries = [e for i in range(ROLLOUTS) for e in context.journal[f"answers of rollout {i}"]]
    signs = {e.id: 1 if e.feedback and e.feedback.score else -1 for e in tries}
    assert {x.sign for x in context.told} == {1, -1}
    assert all(x.sign == signs[x.solution] for x in context.told)
    assert len(context.told) == sum(r["with_signal"] for r in told["rollouts"])
    assert not context.lent
    assert os.listdir(context.scratch) == []


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [Cancelled("stop"), BudgetSpent("spent"), RuntimeError("killed")])
def test_stopped_or_killed_it_ends_with_the_same_weights_from_the_same_rollouts(
    at: int, error: Exception, undisturbed: tuple[Policy, Practising], folder: Path, tmp_path: Path
) -> None:
    def watch(done: int) -> None:
        if done == at:
            raise error

    context = Practising(tmp_path, watch=watch)
    with pytest.raises(type(error)):
        trained(context, folder)
    left = {k: v for k, v in context.journal.items() if k.startswith("rolled")}
    assert len(left) == at
    again = Practising(tmp_path, luck=99)  # another process: other luck, the same journal
    again.journal = dict(context.journal)
    whole = dict(undisturbed[1].journal)
    # what was not rolled out yet is a matter of luck: let it be that of the undisturbed run
    again.luck.setstate(context.luck.getstate())
    policy = trained(again, folder)
    assert policy.id == undisturbed[0].id
    assert [name for name, _ in again.asked] == [f"rollout {i}" for i in range(at, ROLLOUTS)]
    assert again.journal == whole
    # stopped cleanly it goes on where it was; killed, from the checkpoint of every second rollout
    kept = {1: 0, 2: 0, 3: 2, 4: 2}[at] if isinstance(error, RuntimeError) else at
    assert again.done == list(range(kept + 1, ROLLOUTS + 1))


def test_cancelled_inside_a_rollout_it_keeps_what_it_learned(folder: Path, tmp_path: Path) -> None:
    class Stopping(Practising):
        async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
            if name == "rollout 3":
                raise asyncio.CancelledError
            return await super().roll_out(name, policy, tasks)

    with pytest.raises(asyncio.CancelledError):
        trained(Stopping(tmp_path), folder)
    assert (tmp_path / "scratch" / "checkpoint-3").is_dir()
    assert not (tmp_path / "scratch" / "at-hand").exists()


def test_a_finished_call_is_not_made_again(undisturbed: tuple[Policy, Practising], folder: Path) -> None:
    policy, context = undisturbed
    asked = len(context.asked)
    assert trained(context, folder).id == policy.id
    assert len(context.asked) == asked


def test_its_figures_are_told_step_by_step_and_a_kill_tells_them_again_alike(
    undisturbed: tuple[Policy, Practising], folder: Path, tmp_path: Path
) -> None:
    policy, context = undisturbed
    told = history(context, policy)
    steps = [context.curves["step", i + 1] for i in range(ROLLOUTS)]
    assert [round(s["loss"], 6) for s in steps] == told["losses"]
    assert [round(s["gradient_norm"], 6) for s in steps] == [n for r in told["rollouts"] for n in r["norms"]]
    rolled = [context.curves["rollout", i + 1] for i in range(ROLLOUTS)]
    assert [round(r["reward"], 6) for r in rolled] == [r["mean_reward"] for r in told["rollouts"]]
    assert len(context.curves) == 2 * ROLLOUTS
    again = Practising(tmp_path)
    again.journal = {k: v for k, v in context.journal.items() if k.startswith(("rolled", "answers"))}
    again.curves = {("step", 1): steps[0]}
    trained(again, folder)
    assert again.curves == context.curves


def test_the_divergence_from_the_reference_is_a_figure_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    context = Practising(tmp_path)
    trained(context, folder, OP.model_copy(update={"beta": 0.04}))
    apart = [context.curves["step", i + 1]["kl"] for i in range(ROLLOUTS)]
    assert apart[0] == pytest.approx(0, abs=1e-6)
    assert 0 < apart[1] < apart[-1]


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("text", ["1.", ""])
def test_without_two_rewards_in_any_group_nothing_is_learned_and_no_weights_are_made(
    beta: float, text: str, folder: Path, tmp_path: Path
) -> None:
    class Alike(Practising):
        async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
            return [answered(t, text, i, 0.25) for t in tasks for i in range(GROUP)]

    context = Alike(tmp_path)
    with pytest.raises(NothingLearned, match="no group had two rewards"):
        trained(context, folder, OP.model_copy(update={"beta": beta}))
    assert [p.name for p in context.artefacts.root.iterdir()] == [policy_in(context, folder).weights.digest]
    assert os.listdir(context.scratch) == []
    assert [context.curves["rollout", i + 1]["reward"] for i in range(ROLLOUTS)] == [0.25] * ROLLOUTS
    assert all("no group had two rewards" in note for note in context.notes)
    scripted = Alike(tmp_path / "scripted")
    with pytest.raises(NothingLearned):
        asyncio.run(OP(base_policy(), (), scripted))


@pytest.mark.parametrize("text", ["", "1" * 300])
def test_where_no_answer_with_signal_can_be_trained_on_no_weights_are_made(
    text: str, folder: Path, tmp_path: Path
) -> None:
    class Refused(Practising):
        async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
            heard = [answered(tasks[0], text, i, float(i == 0)) for i in range(GROUP)]
            return heard + [answered(tasks[1], "1.", i, 0.0) for i in range(GROUP)]

    context = Refused(tmp_path)
    with pytest.raises(NothingLearned, match=f"none of the {GROUP * ROLLOUTS} answers with signal"):
        trained(context, folder, OP.model_copy(update={"max_length": 64}))
    assert [p.name for p in context.artefacts.root.iterdir()] == [policy_in(context, folder).weights.digest]


def test_a_checkpoint_that_is_being_written_is_cleared_too_where_nothing_was_learned(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alike(Practising):
        async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
            return [answered(t, "1.", i, 0.25) for t in tasks for i in range(GROUP)]

    write = checkpoint.write
    begun: list[int] = []

    def slowly(scratch: Path, made: Any) -> None:
        begun.append(made.step)
        time.sleep(0.5)
        write(scratch, made)

    monkeypatch.setattr(checkpoint, "write", slowly)
    context = Alike(tmp_path)
    with pytest.raises(NothingLearned):  # steps were taken, for the reference's sake alone
        trained(context, folder, OP.model_copy(update={"beta": 0.04}))
    assert begun == [2]
    assert os.listdir(context.scratch) == []


def test_minibatches_and_iterations_are_optimiser_steps_and_the_old_weights_clip_them(
    folder: Path, tmp_path: Path
) -> None:
    context = Practising(tmp_path)
    told = history(context, trained(context, folder, OP.model_copy(update={"minibatches": 3, "iterations": 4})))
    first = told["rollouts"][0]
    heard = first["with_signal"] // GROUP  # one group a lesson; one without signal takes no step
    assert heard > 1
    assert len(first["norms"]) == 4 * heard
    assert first["clipped"][0] == 0.0
    assert max(first["clipped"]) > 0  # a rate of 0.01 moves a tiny model far


def test_without_practice_or_for_a_policy_with_adapters_it_refuses(folder: Path, tmp_path: Path) -> None:
    context = Practising(tmp_path)
    policy = policy_in(context, folder)
    for rollout_prompts in (None, PRACTICE._replace(tasks=())):
        context.rollout_prompts = rollout_prompts
        with pytest.raises(DataError, match="no task"):
            asyncio.run(OP(policy, (), context))
    with pytest.raises(ModelError, match="adapters"):
        asyncio.run(OP(policy.model_copy(update={"adapters": {"x": "y"}}), (), context))


def test_weights_that_overflow_stop_the_training_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="diverged"):
        trained(Practising(tmp_path), folder, OP.model_copy(update={"learning_rate": 1e30}))


def test_the_scripted_model_learns_from_better_answers_and_unlearns_from_wrongly_praised_ones(tmp_path: Path) -> None:
    class Praising(Practising):
        async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
            return [
                e.model_copy(update={"feedback": e.feedback.model_copy(update={"score": 1 - e.feedback.score})})
                for e in await super().roll_out(name, policy, tasks)
                if e.feedback is not None and e.feedback.score is not None
            ]

    skill = dict(base_policy().weights.skills or {})["add"]
    good = asyncio.run(OP(base_policy(), (), Practising(tmp_path / "a")))
    bad = asyncio.run(OP(base_policy(), (), Praising(tmp_path / "b")))
    assert (good.weights.skills or {})["add"] > skill > (bad.weights.skills or {})["add"]


def test_an_unscored_answer_is_left_out_of_its_group_and_never_counts_as_wrong() -> None:
    one = task(1)
    tries = [answered(one, "5", 0, 1.0), answered(one, "6", 1, None), answered(one, "7", 2, 0.0)]
    found = graded(tries, scaled=False)
    assert [(g.experience.id, g.advantage) for g in found] == [("t1/0", 0.5), ("t1/2", -0.5)]


def test_lessons_hold_whole_groups_and_an_empty_answer_counts_in_the_mean_only(folder: Path) -> None:
    tries = [answered(task(t), text, i, float(i == 0)) for t in range(5) for i, text in enumerate(("12", "", "13"))]
    policy = Policy(weights=base_policy().weights)
    group_batches, refused = group_batches_of(policy, graded(tries, scaled=False), folder, 256, 2)
    assert refused == {"empty prompt or answer": 5}
    assert [len(x.answers) for x in group_batches] == [4, 6]
    assert {round(a.advantage, 3) for x in group_batches for a in x.answers} == {0.667, -0.333}
    many, _ = group_batches_of(policy, graded(tries, scaled=False), folder, 256, 99)
    assert len(many) == 5
    with pytest.raises(InstarError, match="nothing to train on"):
        group_batches_of(policy, graded([answered(task(1), "", 0, 1.0)], scaled=False), folder, 256, 1)
