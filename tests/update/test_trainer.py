"""The one trainer: bit by bit what SFT and GRPO did before it, a loss in two passes, checkpoints beside training."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from instar.errors import StoreError
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.minibatch import lay_out
from instar.update.weights.layout.rows import Row, rows_of
from instar.update.weights.losses.grpo import Clip
from instar.update.weights.losses.weighted import derivatives, weighted
from instar.update.weights.trainer import checkpoint, keeper
from instar.update.weights.trainer.grpo_trainer import Answer, GroupBatch, GrpoSettings, GrpoTrainer
from instar.update.weights.trainer.hardware import free_memory
from instar.update.weights.trainer.keeper import Keeper
from instar.update.weights.trainer.model import TrainableModel, open_trainable
from instar.update.weights.trainer.trainer import TrainConfig, Trainer
from tests.update import former
from tests.update.test_grpo import OP as GRPO
from tests.update.test_grpo import Practising
from tests.update.test_grpo import trained as rolled_out
from tests.update.test_sft import OP
from tests.update.test_sft import trained as trained_on_rows
from tests.update.tiny import Context, make_model, policy_in, sums

ROWS = [Row((5, 6, 7, 8, 9, 1), 4), Row((5, 6, 7, 8, 10, 11, 1), 4), Row((20, 21, 1), 2), Row((5, 6, 7, 12, 13, 1), 4)]
CONFIG = TrainConfig(1e-2, 1.0, 0.0, False, 7, 512)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(bool((one[k] == other[k]).all()) for k in one)


@pytest.mark.parametrize("at_once", [512, 40])
@pytest.mark.parametrize(("warmup", "decay"), [(0.06, 0.0), (0.4, 0.1)])
def test_rows_teach_bit_by_bit_what_they_taught_before_there_was_one_trainer(
    at_once: int, warmup: float, decay: float, folder: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    context = Context(tmp_path)
    policy = policy_in(context, folder)
    rows = rows_of(policy, sums(), folder, 1024).kept
    trainable = open_trainable(folder, None, context.seed)
    steps = plan(rows, batch_size=4, epochs=3, seed=context.seed)
    losses = former.supervised(
        trainable, rows, steps, rate=1e-2, warmup=warmup, decay=decay, seed=context.seed, at_once=at_once
    )
    op = OP.model_copy(update={"max_tokens_per_microbatch": at_once, "warmup": warmup, "weight_decay": decay})
    made = load_file(context.artefacts.open(trained_on_rows(context, folder, op).weights.digest) / "model.safetensors")
    assert same(
        {n: p.detach() for n, p in trainable.parameters().items()}, {n: made[n] for n in trainable.parameters()}
    )
    assert [context.curves["step", i + 1]["loss"] for i in range(len(steps))] == losses


@pytest.mark.parametrize("at_once", [512, 8])
@pytest.mark.parametrize("more", [{}, {"beta": 0.1, "warmup": 2, "loss_type": "dapo", "weight_decay": 0.1}])
def test_groups_teach_bit_by_bit_what_they_taught_before_there_was_one_trainer(
    at_once: int, more: dict[str, Any], folder: Path
) -> None:
    given: dict[str, Any] = {
        "learning_rate": 1e-2, "warmup": 0, "max_grad_norm": 1.0, "weight_decay": 0.0, "loss_type": "grpo",
        "clip": Clip(0.2, 0.2), "beta": 0.0, "iterations": 3, "bfloat16": False, "seed": 3,
        "max_tokens_per_microbatch": at_once,
    }  # fmt: skip
    settings = GrpoSettings(**{**given, **more})
    advantages = ((1.0, -1.0, 0.0, 0.5), (0.0, 0.3, -0.7, 0.4))
    group_batches = [
        GroupBatch(tuple(Answer(r, a, 8) for r, a in zip(ROWS, of, strict=True)), 0.7) for of in advantages
    ]
    trainable, losses = former.groups(folder, settings, group_batches)
    grpo_trainer = GrpoTrainer(folder, settings)
    assert [t.loss for t in grpo_trainer.learn(group_batches)] == losses
    assert grpo_trainer.steps == len(losses) == 6
    assert same(dict(trainable.parameters()), dict(grpo_trainer.trainer.parameters))


# --- two passes -------------------------------------------------------------------------------------------------------


def preferred(logps: Any, lengths: list[int]) -> Any:
    """A loss of pairs: of each two answers in a row the first is to be likelier than the second."""
    import torch

    sums = torch.stack([part.sum() for part in torch.split(logps, lengths)])
    return -torch.nn.functional.logsigmoid(0.3 * (sums[0::2] - sums[1::2])).sum()


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("at_once", [512, 6])
def test_a_loss_of_pairs_has_in_two_passes_the_gradient_that_it_has_in_one(
    trees: bool, at_once: int, folder: Path
) -> None:
    import torch

    trainable = open_trainable(folder, None, 0)._replace(trees=trees)
    trainer = Trainer(trainable, CONFIG)
    batch = lay_out(trainable, ROWS, at_once)
    assert (len(batch.passes) > 1) == (at_once == 6)
    back = [batch.order.index(i) for i in range(len(ROWS))]

    def in_rows(logps: Any) -> Any:
        parts = torch.split(logps, [batch.lengths[i] for i in batch.order])
        return preferred(torch.cat([parts[i] for i in back]), batch.lengths)

    value, by = derivatives(in_rows, trainer.logps(batch))
    trainer.gradient(batch, weighted(by))
    found = {n: p.grad.clone() for n, p in trainer.parameters.items() if p.grad is not None}
    trainable.model.zero_grad()
    plain = open_trainable(folder, None, 0)._replace(trees=False)
    logps = []
    for row in ROWS:  # all at once, as a textbook has it
        logits = plain.model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
        logps += [logits[t - 1][row.ids[t]] for t in range(row.prompt, len(row.ids))]
    loss = preferred(torch.stack(logps), batch.lengths)
    loss.backward()
    assert value == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, p in plain.parameters().items():
        assert p.grad is not None
        assert torch.allclose(found[name], p.grad, atol=1e-5), name


def test_a_number_of_each_row_goes_to_each_token_of_its_answer(folder: Path) -> None:
    trainable: TrainableModel = open_trainable(folder, None, 0)
    batch = lay_out(trainable, ROWS, 6)
    spread = batch.spread([10.0, 20.0, 30.0, 40.0], trainable.device)
    pairs = [(int(t), float(x)) for layout, xs in zip(batch.passes, spread, strict=True)
             for t, x in zip(layout.targets, xs, strict=True)]  # fmt: skip
    wanted = [(t, 10.0 * (i + 1)) for i, r in enumerate(ROWS) for t in r.ids[r.prompt :]]
    assert sorted(pairs) == sorted(wanted)


def test_log_probabilities_are_without_dropout_so_rollouts_teach_the_same_twice(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", kind="gpt2")  # which has dropout
    op = GRPO.model_copy(update={"iterations": 2, "beta": 0.1})
    one, other = Practising(tmp_path / "a"), Practising(tmp_path / "b")
    assert rolled_out(one, folder, op).id == rolled_out(other, folder, op).id
    trainable = open_trainable(folder, None, 0)
    trainer = Trainer(trainable, CONFIG)
    batch = lay_out(trainable, ROWS)
    first, again = trainer.logps(batch), trainer.logps(batch)
    assert bool((first[0] == again[0]).all())
    assert trainable.model.training


# --- checkpoints ------------------------------------------------------------------------------------------------------


class Writing:
    """A disk that writes when it is let: every other attempt waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun, self.written = threading.Event(), threading.Event(), list[int]()
        self.threads: list[int] = []
        real = checkpoint.write

        def write(scratch: Path, made: checkpoint.Checkpoint) -> Path:
            self.begun.set()
            self.threads.append(threading.get_ident())
            assert self.go.wait(20)
            self.written.append(made.step)
            return real(scratch, made)

        monkeypatch.setattr(checkpoint, "write", write)


def test_a_checkpoint_is_written_while_training_goes_on_and_holds_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    disk = Writing(monkeypatch)
    weight, history = torch.zeros(3), {"losses": [1.0]}
    context = Context(tmp_path)
    with Keeper(context, "mine", 1e9, 1) as kept:  # type: ignore[arg-type]  # a context without rollouts
        kept.keep(1, 1, history, lambda: {"weight/w": weight})
        assert disk.begun.wait(20)
        weight.add_(1)  # training goes on
        history["losses"].append(2.0)
        assert disk.written == []
        disk.go.set()
    found = checkpoint.read(context.scratch)
    assert found is not None
    assert found.tensors["weight/w"].tolist() == [0.0] * 3
    assert found.history == {"losses": [1.0]}


def test_without_memory_for_a_copy_the_training_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    disk = Writing(monkeypatch)
    disk.go.set()
    monkeypatch.setattr(keeper, "free_memory", lambda: 35)  # for three copies of 12 bytes 36 are needed
    with Keeper(Context(tmp_path), "mine", 1e9, 1) as kept:  # type: ignore[arg-type]  # as above
        kept.keep(1, 1, {}, lambda: {"weight/w": torch.zeros(3)})
        assert disk.written == [1]
    assert disk.threads == [threading.get_ident()]


def test_nothing_is_written_where_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    disk = Writing(monkeypatch)
    disk.go.set()
    with Keeper(Context(tmp_path), "mine", 1e9, 1) as kept:  # type: ignore[arg-type]  # as above
        kept.version = 0
        for done, version in ((1, 0), (2, 1), (3, 1), (4, 2), (4, 2)):
            kept.keep(done, version, {}, lambda: {"weight/w": torch.zeros(3)})
    assert disk.written == [2, 4]


def test_a_checkpoint_that_the_disk_refuses_stops_the_training_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def refuse(*_: Any) -> Path:
        raise StoreError("the disk is full.")

    monkeypatch.setattr(checkpoint, "write", refuse)

    def keep(steps: int) -> None:
        with Keeper(Context(tmp_path), "mine", 1e9, 1) as kept:  # type: ignore[arg-type]  # as above
            for i in range(steps):
                kept.keep(i + 1, i + 1, {}, lambda: {"weight/w": torch.zeros(3)})

    for steps in (1, 2):  # where there is none after it, and at the next
        with pytest.raises(StoreError, match="full"):
            keep(steps)


def test_rollouts_without_signal_need_no_checkpoint(folder: Path, tmp_path: Path) -> None:
    class Alike(Practising):
        async def roll_out(self, name: str, policy: Any, tasks: Any) -> Any:
            made = await super().roll_out(name, policy, tasks)
            flat = {"score": 0.5}
            return [e.model_copy(update={"feedback": e.feedback.model_copy(update=flat)}) for e in made if e.feedback]

    def stop(done: int) -> None:
        if done == 3:
            raise RuntimeError("killed")

    context = Alike(tmp_path, watch=stop)
    with pytest.raises(RuntimeError):
        asyncio.run(GRPO.model_copy(update={"checkpoint_steps": 1})(policy_in(context, folder), (), context))
    assert list(context.scratch.glob("checkpoint-*")) == []


def test_free_memory_is_that_of_the_machine_and_of_the_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:  64 kB\n")
    assert free_memory(meminfo, tmp_path) == 64 * 1024
    for name, said in (("memory.max", "50000\n"), ("memory.current", "49000\n")):
        (tmp_path / name).write_text(said)
    assert free_memory(meminfo, tmp_path) == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(meminfo, tmp_path) == 64 * 1024
    assert free_memory(tmp_path / "nothing", tmp_path) == 0
