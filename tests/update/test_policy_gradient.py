"""The loss of group policy gradients: TRL's value and gradient on a fixed batch, and what each setting is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.update.weights.layout.rows import Row
from instar.update.weights.losses.grpo import Clip, LossInputs, advantages, clipped_share, surrogate, token_weights
from instar.update.weights.trainer.grpo_trainer import Answer, GroupBatch, GrpoSettings, GrpoTrainer, Ready
from instar.update.weights.trainer.model import TrainableModel

FIXTURES = Path(__file__).parent / "fixtures"
TRL = json.loads((FIXTURES / "trl_grpo.json").read_text())
CONFIG: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64, "tie_word_embeddings": True, "bos_token_id": None,
    "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    with np.load(FIXTURES / "trl_grpo.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]) -> Path:
    """The model that TRL had."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**CONFIG))
    named = {k.removeprefix("weight/"): torch.tensor(v) for k, v in arrays.items() if k.startswith("weight/")}
    missing = model.load_state_dict(named, strict=False).missing_keys
    assert set(missing) <= {"lm_head.weight"}  # tied
    place = tmp_path_factory.mktemp("model")
    model.save_pretrained(place)
    return place


def settings(**changed: Any) -> GrpoSettings:
    given: dict[str, Any] = {
        "learning_rate": 1e-3, "warmup": 0, "max_grad_norm": 1e9, "weight_decay": 0.0, "loss_type": "grpo",
        "clip": Clip(0.2, 0.2), "beta": 0.0, "iterations": 1, "bfloat16": False, "seed": 0,
        "max_tokens_per_microbatch": 2048,
    }  # fmt: skip
    return GrpoSettings(**{**given, **changed})


def flat(groups: Any) -> list[Any]:
    return [x for group in groups for x in group]


def group_batch(case: dict[str, Any]) -> GroupBatch:
    scaled = case.get("scale_rewards", "group") == "group"
    graded = flat(advantages(rewards, scaled=scaled) for rewards in TRL["rewards"])
    answers = flat([(prompt, a) for a in group] for prompt, group in zip(TRL["prompts"], TRL["answers"], strict=True))
    made = [
        Answer(Row((*prompt, *answer), len(prompt)), graded[i], TRL["longest"])
        for i, (prompt, answer) in enumerate(answers)
    ]
    return GroupBatch(tuple(made), TRL["temperature"])


def told_from(array: Any, grpo_trainer: GrpoTrainer, given: GroupBatch) -> Any:
    """TRL's padded numbers, one entry a token, in the order in which the trainee takes its answers."""
    import torch

    heard = [i for i, a in enumerate(given.answers) if grpo_trainer.counts(a)]
    key = (lambda r: (r.ids, r.prompt)) if grpo_trainer.trainer.trainable.trees else (lambda r: len(r.ids))
    heard.sort(key=lambda i: key(given.answers[i].row))
    rows = [given.answers[i].row for i in heard]
    return torch.cat([torch.tensor(array[i][: len(r.ids) - r.prompt]) for i, r in zip(heard, rows, strict=True)])


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("name", list(TRL["cases"]))
def test_value_and_gradient_are_those_of_trl(name: str, trees: bool, folder: Path, arrays: dict[str, Any]) -> None:
    import torch

    case = TRL["cases"][name]
    clip = Clip(0.2, case.get("epsilon_high", 0.2))
    grpo_trainer = GrpoTrainer(folder, settings(loss_type=case["loss_type"], clip=clip, beta=case["beta"]))
    grpo_trainer.trainer.trainable = grpo_trainer.trainer.trainable._replace(trees=trees)
    given = group_batch(case)
    ready = grpo_trainer.ready(given, old=case["old"])
    if case["old"]:
        (inputs,) = ready.inputs
        old = told_from(arrays[f"{name}/old"], grpo_trainer, given)
        assert inputs.old is not None
        sampled = told_from(arrays[f"{name}/logps"], grpo_trainer, given)
        assert torch.allclose(inputs.old, sampled, atol=1e-5)  # what it computes itself is what TRL computes
        reference = told_from(arrays[f"{name}/reference"], grpo_trainer, given) if case["beta"] else None
        ready = Ready(ready.batch, [inputs._replace(old=old, reference=reference)])
    found = [a.advantage for a in given.answers]
    assert np.allclose(found, flat(arrays[f"{name}/advantages"]), atol=1e-6)
    loss = grpo_trainer.loss(ready)
    assert grpo_trainer.trainer.gradient(ready.batch, loss) == pytest.approx(case["loss"], rel=1e-5, abs=1e-6)
    assert (loss.clipped > 0) == case["old"]
    wanted = torch.cat([torch.tensor(arrays[f"{name}/grad/{k}"]).flatten() for k in grpo_trainer.trainer.parameters])
    mine = torch.cat([p.grad.flatten() for p in grpo_trainer.trainer.parameters.values() if p.grad is not None])
    assert ((mine - wanted).norm() / wanted.norm()).item() < 1e-5


def test_the_fixture_tells_the_loss_types_apart() -> None:
    losses = [c["loss"] for c in TRL["cases"].values()]
    assert len({round(x, 4) for x in losses}) == len(losses)


def test_a_group_without_signal_is_not_forwarded_and_changes_nothing_else(folder: Path) -> None:
    grpo_trainer = GrpoTrainer(folder, settings())
    given = group_batch(TRL["cases"]["grpo"])
    (layout,) = grpo_trainer.ready(given, old=False).batch.passes
    silent = [a for a in given.answers if a.advantage == 0]
    assert len(silent) == 4
    assert 24 not in layout.ids.flatten().tolist()  # a token of the group without signal only
    with_all = GrpoTrainer(folder, settings(beta=1e-12))
    assert 24 in with_all.ready(given, old=False).batch.passes[0].ids.flatten().tolist()


def test_a_lesson_without_any_signal_takes_no_step(folder: Path) -> None:
    grpo_trainer = GrpoTrainer(folder, settings())
    given = group_batch(TRL["cases"]["grpo"])
    silent = given._replace(answers=tuple(a._replace(advantage=0.0) for a in given.answers))
    before = grpo_trainer.trainer.state()["weight/model.embed_tokens.weight"].clone()
    assert grpo_trainer.learn([silent]) == []
    assert grpo_trainer.steps == 0
    assert bool((grpo_trainer.trainer.state()["weight/model.embed_tokens.weight"] == before).all())


def probability(grpo_trainer: GrpoTrainer, answer: Answer, temperature: float) -> float:
    only = GroupBatch((answer._replace(advantage=1.0),), temperature)
    (inputs,) = grpo_trainer.ready(only, old=True).inputs
    assert inputs.old is not None
    return float(inputs.old.sum())


def test_learning_makes_better_answers_likelier_and_worse_ones_less_likely(folder: Path) -> None:
    grpo_trainer = GrpoTrainer(folder, settings(iterations=3))
    given = group_batch(TRL["cases"]["grpo"])
    better = next(a for a in given.answers if a.advantage > 0)
    worse = next(a for a in given.answers if a.advantage < 0 and len(a.row.ids) > 8)
    before = [probability(grpo_trainer, a, given.temperature) for a in (better, worse)]
    took = grpo_trainer.learn([given])
    after = [probability(grpo_trainer, a, given.temperature) for a in (better, worse)]
    assert len(took) == grpo_trainer.steps == 3
    assert took[0].clipped == 0.0  # the first step is where the answers came from
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_ratio_beyond_the_clip_has_no_gradient_and_the_clip_may_be_wider_upwards() -> None:
    import torch

    def gradient(ratio: float, advantage: float, clip: Clip) -> float:
        logp = torch.tensor([float(np.log(ratio))], requires_grad=True)
        inputs = LossInputs(torch.tensor([advantage]), torch.ones(1), torch.zeros(1), None)
        surrogate(logp, inputs, clip, 0.0).backward()
        assert clipped_share(logp, inputs, clip) == float(logp.grad == 0)
        return float(logp.grad)

    narrow = Clip(0.2, 0.2)
    assert gradient(1.25, 1.0, narrow) == 0
    assert gradient(1.25, 1.0, Clip(0.2, 0.28)) == pytest.approx(-1.25)
    assert gradient(1.25, -1.0, narrow) == pytest.approx(1.25)  # a worse answer that grew likelier is pushed back
    assert gradient(0.75, -1.0, narrow) == 0
    assert gradient(0.75, 1.0, narrow) == pytest.approx(-0.75)


def test_advantages_are_within_the_group_and_zero_where_all_are_alike() -> None:
    assert advantages([1.0, 1.0, 1.0], scaled=True) == [0.0, 0.0, 0.0]
    assert advantages([0.3], scaled=True) == [0.0]
    assert advantages([1.0, 0.0, 0.0, 1.0], scaled=False) == [0.5, -0.5, -0.5, 0.5]
    scaled = advantages([1.0, 0.0], scaled=True)
    assert scaled[0] == -scaled[1] == pytest.approx(0.5 / (np.std([1, 0], ddof=1) + 1e-4))


def test_a_token_weighs_by_its_answer_by_all_tokens_or_by_what_could_have_been() -> None:
    assert token_weights("grpo", [1, 4], [8, 8]) == [0.5, 0.125]
    assert token_weights("dapo", [1, 4], [8, 8]) == token_weights("bnpo", [1, 4], [8, 8]) == [0.2, 0.2]
    assert token_weights("dr_grpo", [1, 4], [8, 8]) == [1 / 16, 1 / 16]


def test_a_model_without_trees_takes_its_rows_in_another_order_and_still_tells_each_its_own(folder: Path) -> None:
    grpo_trainer = GrpoTrainer(folder, settings())
    assert isinstance(grpo_trainer.trainer.trainable, TrainableModel)
    given = group_batch(TRL["cases"]["grpo"])
    losses = []
    for trees in (True, False):
        grpo_trainer.trainer.trainable = grpo_trainer.trainer.trainable._replace(trees=trees)
        grpo_trainer.trainer.trainable.model.zero_grad()
        ready = grpo_trainer.ready(given, old=False)
        losses.append(grpo_trainer.trainer.gradient(ready.batch, grpo_trainer.loss(ready)))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
