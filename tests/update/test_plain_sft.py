"""The loss, gradient and steps of supervised fine-tuning are those of plain PyTorch, on rows at the edges."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.update.weights.layout.minibatch import lay_out
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.sft import cross_entropy
from instar.update.weights.trainer.loop import Settings, train
from instar.update.weights.trainer.model import open_trainable
from instar.update.weights.trainer.trainer import gradient, products_of
from tests.update.tiny import Context

FIXTURES = Path(__file__).parent / "fixtures"
PLAIN: dict[str, Any] = json.loads((FIXTURES / "plain_sft.json").read_text())
ROWS = [Row(tuple(ids), prompt) for ids, prompt in PLAIN["rows"]]


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    with np.load(FIXTURES / "plain_sft.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]) -> Path:
    """The model that plain PyTorch had."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**PLAIN["config"]))
    named = {k.removeprefix("weight/"): torch.tensor(v) for k, v in arrays.items() if k.startswith("weight/")}
    assert set(model.load_state_dict(named, strict=False).missing_keys) <= {"lm_head.weight"}  # tied
    place = tmp_path_factory.mktemp("model")
    model.save_pretrained(place)
    return place


@pytest.mark.parametrize(
    ("trees", "at_once", "gradient_checkpointing", "bfloat16"),
    [
        (True, 512, False, False), (True, 40, False, False), (True, 1, False, False), (True, 512, True, False),
        (False, 512, False, False), (False, 40, True, False), (True, 512, False, True),
    ],
)  # fmt: skip
def test_loss_and_gradient_are_those_of_plain_pytorch(
    trees: bool, at_once: int, gradient_checkpointing: bool, bfloat16: bool, folder: Path, arrays: dict[str, Any]
) -> None:
    import torch

    trainable = open_trainable(folder, None, 0, gradient_checkpointing=gradient_checkpointing)._replace(trees=trees)
    batch = lay_out(trainable, ROWS, at_once)
    with products_of(trainable, bfloat16):
        loss = gradient(trainable, batch, cross_entropy(batch.answers), bfloat16=bfloat16)
    assert loss == pytest.approx(PLAIN["loss"], abs=5e-2 if bfloat16 else 2e-5)
    wanted = torch.cat([torch.tensor(arrays[f"grad/{n}"]).flatten() for n in trainable.parameters()])
    found = torch.cat([p.grad.flatten() for p in trainable.parameters().values() if p.grad is not None])
    assert float((found - wanted).norm() / wanted.norm()) < (5e-2 if bfloat16 else 1e-5)


def test_steps_with_warm_up_decay_and_clipping_are_those_of_plain_pytorch(folder: Path, tmp_path: Path) -> None:
    given = PLAIN["train"]
    settings = Settings(
        given["learning_rate"],
        given["warmup"],
        given["max_norm"],
        given["weight_decay"],
        False,
        0,
        "mine",
        1e9,
        None,
        60,
    )
    context = Context(tmp_path)
    told = train(open_trainable(folder, None, 0), ROWS, PLAIN["steps"], settings, context, threading.Event())  # type: ignore[arg-type]  # a context without rollouts
    assert told["losses"] == pytest.approx(PLAIN["losses"], abs=1e-3)
    assert max(abs(a - b) for a, b in zip(told["losses"][:3], PLAIN["losses"][:3], strict=True)) < 1e-4
