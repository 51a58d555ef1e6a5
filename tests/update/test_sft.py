"""Supervised fine-tuning: it learns, it repeats bit by bit, and a kill changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from instar.errors import BudgetSpent, Cancelled, DataError, InstarError, ModelError, StoreError
from instar.records import Policy
from instar.update.weights import sft
from instar.update.weights.grpo import Grpo
from instar.update.weights.layout.batches import plan
from instar.update.weights.sft import SFT
from instar.update.weights.trainer import loop
from instar.update.weights.trainer.hardware import precision_of
from instar.update.weights.trainer.model import Lora
from instar.update.weights.trainer.trainer import rate
from tests.update.tiny import Context, digest_of, experience, make_model, policy_in, sums

OP = SFT(learning_rate=1e-2, epochs=3, batch_size=4, precision="float32", checkpoint_steps=2, checkpoint_seconds=1e9)
STEPS = 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def trained(context: Context, folder: Path, op: SFT = OP, data: Any = None) -> Policy:
    return asyncio.run(op(policy_in(context, folder), sums() if data is None else data, context))


def weights(context: Context, policy: Policy) -> bytes:
    return (context.artefacts.open(policy.weights.digest) / "model.safetensors").read_bytes()


class Undisturbed(NamedTuple):
    policy: Policy
    context: Context


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Undisturbed:
    context = Context(tmp_path_factory.mktemp("undisturbed"))
    return Undisturbed(trained(context, folder), context)


def raising(at: int, error: BaseException) -> Callable[[int], None]:
    def watch(done: int) -> None:
        if done == at:
            raise error

    return watch


def test_it_learns_and_makes_a_complete_model_folder(undisturbed: Undisturbed, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy, context = undisturbed
    made = context.artefacts.open(policy.weights.digest)
    history = json.loads((made / "training.json").read_text())
    assert len(history["losses"]) == history["steps"] == STEPS
    told = [context.curves["step", i + 1] for i in range(STEPS)]
    assert [round(t["loss"], 6) for t in told] == history["losses"]
    assert sum(t["tokens"] for t in told) == history["tokens"]
    assert told[0]["learning_rate"] < max(t["learning_rate"] for t in told) == OP.learning_rate
    assert all(t["gradient_norm"] > 0 and t["length"] > 1 for t in told)
    assert sum(history["losses"][-3:]) < 0.6 * sum(history["losses"][:3])
    assert history["precision"] == "float32"
    assert history["tokens_fed"] < 0.7 * history["tokens"]  # prompts that begin alike went through once
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(os.listdir(made))
    assert (made / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    model = AutoModelForCausalLM.from_pretrained(made)
    assert model.dtype.__str__() == "torch.float32"
    assert policy.parent == policy_in(Context(context.scratch / "other"), folder).id
    assert policy.made_by == "sft"
    assert policy.system == "Add."
    assert policy.id == policy.identified().id != policy.parent
    assert context.done == list(range(1, STEPS + 1))
    assert {"train", "checkpoint", "save"} <= set(context.phases)
    assert not list(context.scratch.glob("checkpoint-*"))


def test_it_equals_a_plain_loop(undisturbed: Undisturbed, folder: Path) -> None:
    """The same steps with torch alone: padded rows with a mask, labels, the mean over answer tokens, AdamW."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from instar.update.weights.layout.batches import plan
    from instar.update.weights.layout.rows import rows_of

    policy, context = undisturbed
    rows = rows_of(policy, sums(), folder, 1024).kept
    steps = plan(rows, batch_size=4, epochs=3, seed=context.seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for s, step in enumerate(steps):
        batch = [rows[i] for i in step]
        width = max(len(r.ids) for r in batch)
        ids, labels, mask = torch.zeros(4, width, dtype=int), torch.full((4, width), -100), torch.zeros(4, width)
        for j, r in enumerate(batch):
            ids[j, : len(r.ids)] = torch.tensor(r.ids)
            mask[j, : len(r.ids)] = 1
            labels[j, r.prompt : len(r.ids)] = torch.tensor(r.ids[r.prompt :])
        logits = model(ids, attention_mask=mask).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        assert loss.item() == pytest.approx(
            json.loads((context.artefacts.open(policy.weights.digest) / "training.json").read_text())["losses"][s],
            rel=1e-3,
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.param_groups[0]["lr"] = 1e-2 * (0.5 if s == 0 else (STEPS - s) / (STEPS - 1))
        optimiser.step()
        optimiser.zero_grad()
    saved = load_file(context.artefacts.open(policy.weights.digest) / "model.safetensors")
    for name, p in model.named_parameters():
        assert torch.allclose(p, saved[name], atol=2e-3), name  # fifteen steps of rounding


def test_the_same_data_seed_and_start_give_the_same_bytes_and_another_seed_others(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    again, other = Context(tmp_path / "a"), Context(tmp_path / "b", seed=8)
    assert trained(again, folder).id == undisturbed.policy.id
    assert weights(other, trained(other, folder)) != weights(undisturbed.context, undisturbed.policy)


@pytest.mark.parametrize(
    ("at", "error"),
    [
        (1, Cancelled("stop")),
        (7, BudgetSpent("spent")),
        (STEPS, Cancelled("stop")),
        (1, RuntimeError("killed")),
        (6, RuntimeError("killed")),
        (STEPS, RuntimeError("killed")),
    ],
)
def test_stopped_at_any_step_and_called_again_it_ends_with_the_same_bytes(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path, at: int, error: Exception
) -> None:
    context = Context(tmp_path, watch=raising(at, error))
    with pytest.raises(type(error)):
        trained(context, folder)
    clean = isinstance(error, InstarError)
    context.watch, context.done = None, []
    resumed = trained(context, folder)
    # a clean stop loses nothing; anything else loses the steps since the last checkpoint, at most two
    assert context.done[:1] == ([at + 1] if clean and at < STEPS else [] if clean else [(at - 1) // 2 * 2 + 1])
    assert resumed.id == undisturbed.policy.id
    assert weights(context, resumed) == weights(undisturbed.context, undisturbed.policy)


def test_a_checkpoint_of_steps_in_another_order_is_set_aside(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(tmp_path, watch=raising(5, Cancelled("stop")))
    with monkeypatch.context() as before:
        before.setattr(sft, "plan", lambda *rows, **how: plan(*rows, **how)[::-1])
        with pytest.raises(Cancelled):
            trained(context, folder)
    context.watch, context.done = None, []
    assert trained(context, folder).id == undisturbed.policy.id
    assert context.done[0] == 0, "anew, and said so"


def test_a_process_killed_in_the_middle_and_started_again_ends_with_the_same_bytes(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    code = (
        "import os, signal, sys, pathlib; from tests.update.test_sft import Context, trained;"
        "kill = lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == 6 else 0;"
        "trained(Context(pathlib.Path(sys.argv[1]), watch=kill), pathlib.Path(sys.argv[2]))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(folder)], cwd=Path(__file__).parents[2], timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    there = [int(p.name.removeprefix("checkpoint-")) for p in (tmp_path / "scratch").glob("checkpoint-?")]
    assert max(there) in (2, 4)  # a checkpoint is written beside the training: the second may not be whole yet
    context = Context(tmp_path)
    assert trained(context, folder).id == undisturbed.policy.id
    assert context.done[0] == max(there) + 1


def test_a_finished_training_whose_call_was_not_recorded_is_not_repeated(folder: Path, tmp_path: Path) -> None:
    context = Context(tmp_path)
    first = trained(context, folder)
    context.done = []
    assert trained(context, folder).id == first.id
    assert context.done == []
    assert trained(context, folder, data=sums(10)).id != first.id  # other data: trained anew
    assert context.done


def test_a_damaged_checkpoint_is_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    context = Context(tmp_path, watch=raising(5, Cancelled("stop")))
    with pytest.raises(Cancelled):
        trained(context, folder)
    whole = tmp_path / "whole"
    shutil.copytree(context.scratch, whole)
    for name in ("state.safetensors", "checkpoint.json"):
        shutil.rmtree(context.scratch)
        shutil.copytree(whole, context.scratch)
        file = context.scratch / "checkpoint-5" / name
        content = bytearray(file.read_bytes())
        content[len(content) // 2 if name.startswith("state") else 0] ^= 1
        file.write_bytes(content)
        with pytest.raises(StoreError, match=rf"{name} is damaged: .* Delete the folder .*checkpoint-5 and resume"):
            trained(context, folder)


def test_a_checkpoint_of_other_data_is_set_aside(folder: Path, tmp_path: Path) -> None:
    context = Context(tmp_path / "a", watch=raising(5, Cancelled("stop")))
    with pytest.raises(Cancelled):
        trained(context, folder)
    context.watch, context.done = None, []
    fresh = Context(tmp_path / "b")
    assert trained(context, folder, data=sums(12)).id == trained(fresh, folder, data=sums(12)).id
    assert "a checkpoint of other data, settings or device was set aside" in context.notes
    assert context.done[:2] == [0, 1]


def test_a_cancelled_task_ends_its_thread_with_a_checkpoint(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    async def scene() -> list[str]:
        started, told = asyncio.Event(), asyncio.get_running_loop()

        def watch(done: int) -> None:
            if done == 3:
                told.call_soon_threadsafe(started.set)
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.2), told).result()

        context = Context(tmp_path, watch=watch)
        task = asyncio.create_task(OP(policy_in(context, folder), sums(), context))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [p.name for p in context.scratch.glob("checkpoint-*")]

    assert asyncio.run(scene()) == ["checkpoint-3"]
    assert trained(Context(tmp_path), folder).id == undisturbed.policy.id


def test_an_adapter_trains_is_merged_and_is_kept_beside(folder: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    op = OP.model_copy(update={"lora": Lora(rank=4, dropout=0.1)})
    context = Context(tmp_path / "a", watch=raising(7, Cancelled("stop")))
    with pytest.raises(Cancelled):
        trained(context, folder, op)
    context.watch = None
    resumed, straight = trained(context, folder, op), Context(tmp_path / "b")
    assert trained(straight, folder, op).id == resumed.id  # with dropout, too
    made = context.artefacts.open(resumed.weights.digest)
    losses = json.loads((made / "training.json").read_text())["losses"]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    merged = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    plain, wanted = base(ids).logits, merged(ids).logits
    adapted = PeftModel.from_pretrained(base, made / "adapter").eval()(ids).logits
    assert torch.allclose(adapted, wanted, atol=1e-3)
    assert not torch.allclose(plain, wanted, atol=1e-2)


def test_untied_weights_and_a_model_without_trees_train_too(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    for kind, tied in (("llama", False), ("gpt2", True)):
        context = Context(tmp_path / kind)
        made = trained(context, make_model(tmp_path / f"{kind}-model", kind=kind, tied=tied))
        folder = context.artefacts.open(made.weights.digest)
        told = json.loads((folder / "training.json").read_text())
        losses = told["losses"]
        assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
        assert told["layout"] == ("padded rows" if kind == "gpt2" else "prefix trees")
        assert any("no prefix trees" in note for note in context.notes) is (kind == "gpt2")
        assert ("lm_head.weight" in load_file(folder / "model.safetensors")) is not tied


def test_bfloat16_learns_and_keeps_float32_weights(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    context = Context(tmp_path)
    made = context.artefacts.open(
        trained(context, folder, OP.model_copy(update={"precision": "bfloat16"})).weights.digest
    )
    history = json.loads((made / "training.json").read_text())
    assert history["precision"] == "bfloat16"
    assert sum(history["losses"][-3:]) < 0.6 * sum(history["losses"][:3])
    assert {str(t.dtype) for t in load_file(made / "model.safetensors").values()} == {"torch.float32"}


def test_auto_precision_follows_the_processor(tmp_path: Path) -> None:
    (tmp_path / "amx").write_text("flags : avx512f amx_tile amx_bf16 amx_int8")
    (tmp_path / "no").write_text("flags : avx512f avx512_bf16")
    assert precision_of("auto", tmp_path / "amx") == "bfloat16"
    assert precision_of("auto", tmp_path / "no") == "float32"
    assert precision_of("auto", tmp_path / "absent") == "float32"
    assert precision_of("float32", tmp_path / "amx") == "float32"


def test_empty_data_is_a_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        trained(Context(tmp_path), folder, data=[])


def test_a_loss_that_is_not_a_number_stops_with_its_step(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_model(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][:] = 3e38  # numbers, or the folder would be refused; the logits are none
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"diverged at step 1 of 15: loss nan.*Lower learning_rate \(now 0.01\)"):
        trained(Context(tmp_path / "shop"), folder)


def test_a_full_disk_is_told_with_its_numbers_before_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 50_000))
    context = Context(tmp_path)
    with pytest.raises(StoreError, match=r"needs 0\.\d MB of free disk .*only 0\.1 MB are free"):
        trained(context, folder)
    assert context.done == []


def test_a_disk_that_fills_up_while_a_checkpoint_is_written_keeps_the_one_before(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    real, calls = safetensors.torch.save_file, []

    def full(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    context = Context(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(StoreError, match=r"step 6 could not be written .*No space left"):
            trained(context, folder)
    assert os.listdir(context.scratch) == ["checkpoint-4"]
    assert trained(context, folder).id == undisturbed.policy.id


def test_torch_that_is_not_installed_is_named_with_its_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(tmp_path)
    policy = policy_in(context, folder)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match=r"pip install 'instar\[train\]'"):
        asyncio.run(OP(policy, sums(), context))


def test_a_folder_that_is_no_model_is_a_clear_error(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        trained(Context(tmp_path / "shop"), broken)


def test_a_policy_with_adapters_is_refused_since_they_belong_to_its_old_weights(folder: Path, tmp_path: Path) -> None:
    context = Context(tmp_path)
    policy = policy_in(context, folder).model_copy(update={"adapters": {"judge": "x"}})
    with pytest.raises(ModelError, match=r"carries adapters \(judge\)"):
        asyncio.run(OP(policy, sums(), context))


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    settings = loop.Settings(1.0, 0.06, 1.0, 0.0, False, 0, "", 60.0, None)
    rates = [rate(s, settings.config(100)) for s in range(100)]
    assert rates[:7] == pytest.approx([1 / 7, 2 / 7, 3 / 7, 4 / 7, 5 / 7, 6 / 7, 1.0])
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert rate(0, settings.config(1)) == 0.5
    assert rates == [rate(s, settings._replace(warmup=6).config(100)) for s in range(100)]  # a number of steps
    grpo = Grpo(learning_rate=1.0, warmup=0.06, minibatches=5).settings(False, 0, rollouts=20).config
    assert grpo == Grpo(learning_rate=1.0, warmup=6, minibatches=5).settings(False, 0, rollouts=20).config
    assert [rate(s, grpo) for s in range(100)] == [*rates[:6], *[1.0] * 94]
    assert rate(0, Grpo(learning_rate=1.0).settings(False, 0).config) == 1.0


def test_how_often_it_is_checkpointed_does_not_change_what_comes_out(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    context = Context(tmp_path)
    made = trained(context, folder, OP.model_copy(update={"checkpoint_steps": None}))
    assert digest_of(context.artefacts.open(made.weights.digest)) == undisturbed.policy.weights.digest


def test_an_answer_of_one_token_only_is_trained_on(folder: Path, tmp_path: Path) -> None:
    assert trained(Context(tmp_path), folder, data=[experience("1+1", "2")]).made_by == "sft"
