"""Training on a GPU: the same numbers up to rounding, and what a GPU changes is never taken for what a CPU made."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.build import build_op
from instar.errors import Cancelled, ModelError
from instar.protocols import Update, identity
from instar.records import Policy
from instar.update.weights import grpo, sft
from instar.update.weights.grpo import Grpo
from instar.update.weights.layout.minibatch import layouts
from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.shared_prefix import padded_layout, plant, tree_layout
from instar.update.weights.losses.grpo import Clip
from instar.update.weights.sft import SFT
from instar.update.weights.trainer import answer_tokens, grpo_trainer, hardware, model, session, trainer
from instar.update.weights.trainer.grpo_trainer import Answer, GroupBatch, GrpoSettings, GrpoTrainer
from instar.update.weights.trainer.hardware import (
    AT_ONCE,
    AT_ONCE_ON_A_GPU,
    device_of,
    max_tokens_per_microbatch,
    precision_of,
)
from instar.update.weights.trainer.model import Lora, open_trainable
from tests.devices import DEVICES
from tests.update.test_tree_attention import made
from tests.update.tiny import Context, make_model, policy_in, sums

OP = SFT(learning_rate=1e-2, epochs=2, batch_size=4, precision="float32", checkpoint_steps=2, checkpoint_seconds=1e9)
STEPS = 10
ROWS = [Row((5, 6, 7, 8, 9), 3), Row((5, 6, 7, 4), 3), Row((9, 3, 4, 4, 4, 2, 7), 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def trained(context: Context, folder: Path, op: SFT) -> Policy:
    return asyncio.run(op(policy_in(context, folder), sums(), context))


def history(context: Context, policy: Policy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((context.artefacts.open(policy.weights.digest) / "training.json").read_text())
    return found


def stopping(done: int) -> None:
    if done == 5:
        raise Cancelled("stop")


# --- on both ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("more", "near"),
    [
        ({}, 1e-3),
        ({"gradient_checkpointing": True}, 1e-3),
        ({"lora": Lora(target_modules=("q_proj", "v_proj"))}, 1e-3),
        ({"max_tokens_per_microbatch": 64}, 1e-3),
        ({"precision": "bfloat16"}, 5e-2),
    ],
    ids=["whole", "recomputed", "adapter", "few at once", "bfloat16"],
)
def test_the_loss_curve_is_that_of_a_cpu(
    folder: Path, tmp_path: Path, device: str, more: dict[str, Any], near: float
) -> None:
    cpu, here = Context(tmp_path / "cpu"), Context(tmp_path / "here")
    expected = history(cpu, trained(cpu, folder, OP.model_copy(update={**more, "precision": "float32"})))["losses"]
    policy = trained(here, folder, OP.model_copy(update={**more, "device": device}))
    assert len(expected) == STEPS
    assert history(here, policy)["losses"] == pytest.approx(expected, abs=near)
    assert ("card" in history(here, policy)) == (device == "cuda")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_training_that_was_stopped_goes_on_from_its_checkpoint_on_the_same_device(
    tmp_path: Path, device: str, kind: str
) -> None:
    from safetensors.torch import load_file

    own = make_model(tmp_path / "model", kind=kind)
    op = OP.model_copy(update={"device": device})
    whole, context = Context(tmp_path / "whole"), Context(tmp_path / "stopped", watch=stopping)
    with pytest.raises(Cancelled):
        trained(context, own, op)
    context.watch, context.done = None, []
    pair = [(s, s.artefacts.open(trained(s, own, op).weights.digest)) for s in (whole, context)]
    assert [d for d in context.done if d] == list(range(6, STEPS + 1))
    one, other = (load_file(at / "model.safetensors") for _, at in pair)
    assert max(float((one[n] - other[n]).abs().max()) for n in one) <= (0.0 if device == "cpu" else 1e-3)


def settings(device: str, **more: Any) -> GrpoSettings:
    return GrpoSettings(
        learning_rate=1e-2, warmup=0, max_grad_norm=1.0, weight_decay=0.0, loss_type="grpo", clip=Clip(0.2, 0.2),
        beta=0.1, iterations=2, bfloat16=False, seed=3, max_tokens_per_microbatch=512, device=device, **more,
    )  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_a_lesson_teaches_what_it_teaches_on_a_cpu(folder: Path, device: str, gradient_checkpointing: bool) -> None:
    group_batch = GroupBatch(tuple(Answer(row, a, 8) for row, a in zip(ROWS, (1.0, -1.0, 0.5), strict=True)), 0.7)
    plain, here = (
        GrpoTrainer(folder, settings("cpu")),
        GrpoTrainer(folder, settings(device, gradient_checkpointing=gradient_checkpointing)),
    )
    expected, found = ([t for _ in range(2) for t in x.learn([group_batch])] for x in (plain, here))
    assert [t.loss for t in found] == pytest.approx([t.loss for t in expected], abs=1e-3)
    assert [t.norm for t in found] == pytest.approx([t.norm for t in expected], rel=1e-2)
    assert {t.device.type for t in here.trainer.state().values()} == {"cpu"}
    assert here.trainer.trainable.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_a_seed_draws_the_same_and_leaves_the_draws_around_it_alone(device: str) -> None:
    import torch

    def draw() -> float:
        return float(torch.rand(1, device=device))

    torch.manual_seed(1)
    first, expected = draw(), draw()
    torch.manual_seed(1)
    assert draw() == first
    with model.seeded(5):
        inside = draw()
    assert draw() == expected
    with model.seeded(5):
        assert draw() == inside


# --- without one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize("trees", [True, False])
def test_nothing_of_a_pass_is_left_on_another_device(family: str, trees: bool) -> None:
    """The meta device has shapes and no numbers: a tensor made on the CPU in between would meet one of it."""
    import torch

    trainable = made(family, torch.float32)
    layout = (tree_layout(plant(ROWS, 64)) if trees else padded_layout(ROWS, 0)).to("meta")
    assert {x.device.type for x in (layout.ids, layout.where, layout.targets)} == {"meta"}
    trainable.model.to("meta")
    more = {"position_ids": layout.positions, "runs": layout.runs} if trees else {}
    out = trainable.model.get_decoder()(input_ids=layout.ids, use_cache=False, **more).last_hidden_state
    out.sum().backward()
    assert trainable.device.type == "meta"
    assert {p.grad.device.type for p in trainable.model.get_decoder().parameters() if p.grad is not None} == {"meta"}


def test_parts_are_larger_and_layers_are_torchs_own_away_from_a_cpu() -> None:
    import torch

    trainable = made("llama", torch.float32)
    many = answer_tokens.LOGITS_AT_ONCE // 60 * 4
    assert len(answer_tokens._parts(trainable, many)) > 1
    with trainer.products_of(trainable, True) as products:
        assert products is not None
    trainable.model.to("meta")
    assert len(answer_tokens._parts(trainable, many)) == 1
    with trainer.products_of(trainable, True) as products:
        assert products is None


def test_rows_are_padded_away_from_a_cpu(folder: Path) -> None:
    assert open_trainable(folder, None, 0).trees
    trainable = open_trainable(folder, None, 0, device="meta")
    assert (trainable.trees, trainable.device.type) == (False, "meta")
    assert all(layout.runs is None for layout in layouts(trainable, ROWS))


def test_too_little_memory_is_said_with_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any, **__: Any) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nMore lines.")

    monkeypatch.setattr(trainer, "backward", full)
    with pytest.raises(ModelError, match=r"for 512 tokens at once: CUDA out of memory.*9\.00 GiB") as said:
        trained(Context(tmp_path), folder, OP)
    assert "max_tokens_per_microbatch to less (say 256)" in (said.value.hint or "")
    group_batch = GroupBatch((Answer(ROWS[0], 1.0, 8), Answer(ROWS[1], -1.0, 8)), 1.0)
    with pytest.raises(ModelError, match="for 512 tokens"):
        GrpoTrainer(folder, settings("cpu")).learn([group_batch])


@pytest.mark.parametrize("op", [SFT, Grpo])
def test_the_device_is_no_part_of_the_identity_while_it_is_not_set(op: Any) -> None:
    assert "device" not in identity(op())
    assert identity(op(device="cpu"))["device"] == "cpu"
    assert len({op().op_id, op(device="cpu").op_id, op(device="cuda").op_id}) == 3
    assert op(device="auto").op_id == op().op_id


def test_a_gpu_that_is_not_there_is_refused_with_what_to_do() -> None:
    import torch

    if torch.cuda.is_available():  # the sentence is for a machine without one; there it must not be said
        assert device_of("cuda") == "cuda"
        return
    assert (device_of("auto"), device_of("cpu")) == ("cpu", "cpu")
    with pytest.raises(
        ModelError, match=rf"device is cuda, but torch {torch.__version__[:3]}\S* sees no GPU here.*doctor"
    ):
        device_of("cuda")


def test_what_a_gpu_gives_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_of("auto"), device_of("cuda"), device_of("cpu")) == ("cuda", "cuda", "cpu")
    for able, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able: able)
        assert precision_of("auto", device="cuda") == precision
        assert precision_of("float32", device="cuda") == "float32"
    assert [max_tokens_per_microbatch(None, d) for d in ("cpu", "cuda")] == [AT_ONCE, AT_ONCE_ON_A_GPU]


@pytest.mark.parametrize("op", [SFT, Grpo])
def test_any_number_of_tokens_at_once_can_be_had_on_a_gpu_and_the_default_is_known_as_ever(op: Any) -> None:
    for asked in (300, AT_ONCE, AT_ONCE_ON_A_GPU):
        assert max_tokens_per_microbatch(op(max_tokens_per_microbatch=asked).max_tokens_per_microbatch, "cuda") == asked
    assert op().max_tokens_per_microbatch is None
    assert identity(op())["tokens_at_once"] == AT_ONCE
    assert op().op_id == op(max_tokens_per_microbatch=AT_ONCE).op_id != op(max_tokens_per_microbatch=300).op_id
    for field in ({"warmup": 0}, {"op": op.name}):  # of a default that is changed in one field, as of one that is named
        assert getattr(build_op(Update, field, where="train", default=op()), "max_tokens_per_microbatch") is None  # noqa: B009 - either class has it, their slot has not


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything that hangs on a GPU but the GPU: the learner is opened on a CPU all the same."""

    def opened(*args: Any, device: str, **more: Any) -> model.TrainableModel:
        assert device == "cuda"
        return open_trainable(*args, **more)._replace(trees=False)

    for module in (sft, grpo):
        monkeypatch.setattr(module, "device_of", lambda asked: "cuda")
    monkeypatch.setattr(session, "card", lambda device: {"device": device, "card": "A card"})
    monkeypatch.setattr(hardware, "AT_ONCE_ON_A_GPU", AT_ONCE)
    for module in (sft, grpo_trainer):
        monkeypatch.setattr(module, "open_trainable", opened)
    return monkeypatch


def test_a_gpus_checkpoint_is_not_gone_on_with_on_a_cpu(
    folder: Path, tmp_path: Path, on_a_gpu: pytest.MonkeyPatch
) -> None:
    context, fresh = Context(tmp_path / "a", watch=stopping), Context(tmp_path / "b")
    with pytest.raises(Cancelled):
        trained(context, folder, OP)
    assert list(context.scratch.glob("checkpoint-5"))
    context.watch = None
    on_a_gpu.undo()
    assert trained(context, folder, OP).id == trained(fresh, folder, OP).id
    assert "a checkpoint of other data, settings or device was set aside" in context.notes
    assert context.done[-STEPS:] == list(range(1, STEPS + 1))


def test_training_says_its_card_and_a_cpu_says_nothing(
    folder: Path, tmp_path: Path, on_a_gpu: pytest.MonkeyPatch
) -> None:
    gpu, cpu = Context(tmp_path / "gpu"), Context(tmp_path / "cpu")
    inputs = history(gpu, trained(gpu, folder, OP))
    assert (inputs["device"], inputs["card"], inputs["layout"]) == ("cuda", "A card", "padded rows")
    assert "a GPU takes no prefix trees: rows are padded, prompts not shared" in gpu.notes
    on_a_gpu.undo()
    assert not {"device", "card"} & set(history(cpu, trained(cpu, folder, OP)))
