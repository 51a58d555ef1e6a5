"""The losses of preferences: TRL's value and gradient on a fixed batch, and what each setting is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.update.weights.layout.pair_rows import Sided
from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.preferences import Shape, Sides, kl_of, loss_of
from instar.update.weights.trainer.model import open_trainable
from instar.update.weights.trainer.preferring import laid_out, logps_of_rows, strangers
from instar.update.weights.trainer.trainer import TrainConfig, Trainer
from tests.update.test_policy_gradient import CONFIG

FIXTURES = Path(__file__).parent / "fixtures"
TRL = json.loads((FIXTURES / "trl_preferences.json").read_text())
N = len(TRL["prompts"])
ROWS = [
    Row((*prompt, *answer), len(prompt))
    for side in ("chosen", "rejected")
    for prompt, answer in zip(TRL["prompts"], TRL[side], strict=True)
]
PAIRS = [Sided((i,), (N + i,)) for i in range(N)]


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    with np.load(FIXTURES / "trl_preferences.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]) -> dict[str, Path]:
    """The model and the reference that TRL had."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = {}
    for place in ("weight", "reference"):
        model = LlamaForCausalLM(LlamaConfig(**CONFIG))
        named = {k.removeprefix(f"{place}/"): torch.tensor(v) for k, v in arrays.items() if k.startswith(f"{place}/")}
        assert set(model.load_state_dict(named, strict=False).missing_keys) <= {"lm_head.weight"}  # tied
        made[place] = tmp_path_factory.mktemp(place)
        model.save_pretrained(made[place])
    return made


def shape_of(case: dict[str, Any]) -> Shape:
    return Shape(**{k: v for k, v in case.items() if k != "loss"})


def turn(ends: list[Row]) -> list[Row]:
    """KTOTrainer's: it turns an answer to the same prompt too, where a prompt comes twice in a row."""
    turned = zip(ends, [ends[-1], *ends[:-1]], strict=True)
    return [Row((*own.ids[: own.prompt], *other.ids[other.prompt :]), own.prompt) for own, other in turned]


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("name", list(TRL["cases"]))
def test_value_and_gradient_are_those_of_trl(
    name: str, trees: bool, folders: dict[str, Path], arrays: dict[str, Any]
) -> None:
    import torch

    from instar.update.weights.losses.weighted import derivatives, weighted

    case = TRL["cases"][name]
    shape = shape_of(case)
    trainable, reference = (open_trainable(folders[k], None, 0)._replace(trees=trees) for k in ("weight", "reference"))
    trainer = Trainer(trainable, TrainConfig(1e-3, 1e9, 0.0, False, 0, 24))  # few tokens at once: several passes
    before = logps_of_rows(trainer, ROWS, reference)
    batch = laid_out(trainable, ROWS, PAIRS, before, 24)
    assert len(batch.laid.passes) > 1
    apart = 0.0
    if shape.loss_type == "kto":
        turned = turn(ROWS)
        now, then = ([float(x.sum()) for x in logps_of_rows(trainer, turned, of)] for of in (None, reference))
        apart = kl_of(now, then)
        assert apart > 0, "the fixture would not tell whether it is counted"
    loss, coefficients = derivatives(lambda given: loss_of(batch.sides(given), shape, apart), trainer.logps(batch.laid))
    assert loss == pytest.approx(case["loss"], rel=1e-5, abs=1e-6)
    trainer.gradient(batch.laid, weighted(coefficients))
    wanted = torch.cat([torch.tensor(arrays[f"{name}/grad/{k}"]).flatten() for k in trainer.parameters])
    mine = torch.cat([p.grad.flatten() for p in trainer.parameters.values() if p.grad is not None])
    assert ((mine - wanted).norm() / wanted.norm()).item() < 1e-5


def test_the_fixture_tells_the_losses_apart() -> None:
    losses = [c["loss"] for c in TRL["cases"].values()]
    assert len({round(x, 4) for x in losses}) == len(losses)


def sides(chosen: float, rejected: float, length: int = 1) -> Sides:
    import torch

    now = torch.tensor([[chosen], [rejected]])
    return Sides(*now, torch.zeros(1), torch.zeros(1), torch.tensor([length]), torch.tensor([length]))


def test_of_two_policies_that_differ_in_nothing_else_the_loss_is_less_where_the_chosen_answer_is_likelier() -> None:
    for loss_type in ("sigmoid", "simpo", "kto"):
        shape = Shape(loss_type)
        assert loss_of(sides(1.0, 0.0), shape) < loss_of(sides(0.0, 0.0), shape) < loss_of(sides(0.0, 1.0), shape)


def test_ipo_does_not_go_beyond_its_margin_where_dpo_goes_on() -> None:
    near, far = sides(5.0, 0.0), sides(50.0, 0.0)
    assert loss_of(near, Shape("ipo", 0.1)) < loss_of(far, Shape("ipo", 0.1))
    assert loss_of(near, Shape("sigmoid")) > loss_of(far, Shape("sigmoid"))


def test_kto_counts_no_divergence_below_nothing() -> None:
    assert kl_of([-3.0, -2.0], [-1.0, -1.0]) == 0.0
    assert kl_of([-1.0, -1.0], [-3.0, -2.0]) == 1.5


def test_answers_to_the_same_prompt_are_no_strangers() -> None:
    rows = [Row((*prompt, answer), 2) for prompt, answer in [((1, 2), 9), ((1, 2), 8), ((1, 2), 7), ((3, 4), 6)]]
    one, two, other = Sided((0,), (1,)), Sided((2,), (1,)), Sided((3,), (3,))
    assert strangers(rows, [one], 64) == strangers(rows, [one, two], 64) == []
    assert kl_of([], []) == 0.0
    assert strangers(ROWS, PAIRS[1:], 64) == turn([*ROWS[1:N], *ROWS[N + 1 :]])  # where no prompt comes twice
    found = strangers(rows, [one, two, other], 64)
    assert [(r.ids[:2], r.ids[2] == 6) for r in found] == [((1, 2), True)] * 2 + [((3, 4), False)] + [
        ((1, 2), True)
    ] * 2 + [((3, 4), False)]
