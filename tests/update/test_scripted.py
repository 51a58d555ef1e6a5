"""Training the scripted model: up with right rows, down with wrong ones, without torch."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from pathlib import Path

import pytest

from instar.errors import DataError
from instar.scripted_world import base_policy
from instar.update.weights.sft import SFT
from tests.update.tiny import Context, experience


def taught(answer: str, tmp_path: Path) -> float:
    policy = asyncio.run(SFT()(base_policy(), [experience("What is 2 + 3?", answer)] * 5, Context(tmp_path)))
    assert policy.parent == base_policy().id
    assert policy.made_by == "sft"
    assert policy.id == policy.identified().id != base_policy().id
    assert policy.weights.skills is not None
    return policy.weights.skills["add"]


def test_right_rows_move_the_skill_up_and_wrong_rows_move_it_down(tmp_path: Path) -> None:
    before = (base_policy().weights.skills or {})["add"]
    assert taught("5", tmp_path) > before > taught("6", tmp_path)


def test_each_epoch_is_a_step_whose_surprise_is_told_and_falls(tmp_path: Path) -> None:
    context = Context(tmp_path)
    asyncio.run(SFT(epochs=3)(base_policy(), [experience("What is 2 + 3?", "5")] * 5, context))
    losses = [context.curves["step", i + 1]["loss"] for i in range(3)]
    assert losses[0] == pytest.approx(-math.log((base_policy().weights.skills or {})["add"]))
    assert losses == sorted(losses, reverse=True)
    assert context.done == [1, 2, 3]


def test_the_scripted_model_too_refuses_empty_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        asyncio.run(SFT()(base_policy(), [], Context(tmp_path)))


def test_teaching_the_scripted_model_leaves_torch_out(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys; from tests.update.test_scripted import taught;"
        "taught('5', pathlib.Path(sys.argv[1])); assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root, timeout=60)
