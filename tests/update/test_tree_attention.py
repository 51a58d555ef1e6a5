"""Trees through the attention interface: every supported family, both precisions, windows, adapters, checkpointing."""

from __future__ import annotations

import random
from contextlib import nullcontext
from types import MethodType
from typing import Any

import pytest

from instar.update.weights.layout import tree_attention
from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.shared_prefix import padded_layout, plant, plants_trees, tree_layout
from instar.update.weights.trainer.answer_tokens import backward
from instar.update.weights.trainer.bf16 import bf16_products
from instar.update.weights.trainer.lean import keep_less
from instar.update.weights.trainer.model import TrainableModel
from tests.update.tiny import learned_of

FAMILIES = ("llama", "qwen2", "qwen3", "gemma", "gemma3_text")
SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
WINDOW: dict[str, Any] = {
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}


def made(family: str, dtype: Any, **more: Any) -> TrainableModel:
    """A tiny random model as ``open_trainable`` would have it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **{**SHAPE, **(WINDOW if family == "gemma3_text" else {}), **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config).to(dtype).train()
    assert plants_trees(model.config)
    if dtype == torch.float64:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = MethodType(double_norm, module)
    tree_attention.register()
    model.set_attn_implementation(tree_attention.NAME)
    return TrainableModel(model, None, True, 0)


def double_norm(norm: Any, x: Any) -> Any:
    """transformers' norms compute in float32 whatever the model is, an error near 1e-7 in a float64 model: here the
    same formula in float64, for our side and the reference alike."""
    import torch

    eps = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    weight = 1.0 + norm.weight if type(norm).__name__.startswith("Gemma") else norm.weight
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def family_of_rows(seed: int = 0) -> list[Row]:
    """Five prompts that begin alike, three answers each, longer than a window and than several small blocks."""
    draw = random.Random(seed)
    token = lambda: draw.randrange(2, 60)  # noqa: E731 - one line, used here alone
    start = [token() for _ in range(7)]
    rows = []
    for _ in range(5):
        prompt = start + [token() for _ in range(draw.randrange(2, 6))]
        rows += [Row((*prompt, *(token() for _ in range(draw.randrange(1, 9))), 1), len(prompt)) for _ in range(3)]
    return rows


def reference(trainable: TrainableModel, rows: list[Row]) -> Any:
    """The textbook: one row at a time, torch's attention and transformers' own masks, all logits. (Not eager attention:
    its softmax is float32 whatever the model is.)"""
    import torch

    trainable.model.set_attn_implementation("sdpa")
    total = 0.0
    for row in rows:
        logits = trainable.model(torch.tensor([row.ids]), use_cache=False).logits[0]
        total = total - sum(torch.log_softmax(logits[t - 1], -1)[row.ids[t]] for t in range(row.prompt, len(row.ids)))
    trainable.model.set_attn_implementation(tree_attention.NAME)
    return total


def gradient(trainable: TrainableModel, loss: Any) -> Any:
    import torch

    trainable.model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in trainable.parameters().values()])


def apart(a: Any, b: Any) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("room", [2048, 30])
def test_loss_and_gradient_of_trees_are_a_plain_loop_s(
    family: str, precision: str, most: float, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    trainable, rows = made(family, getattr(torch, precision)), family_of_rows()
    expected = reference(trainable, rows)
    wanted = gradient(trainable, expected)
    for size in (1, 4, 64):
        monkeypatch.setattr(tree_attention.runs_of, "__defaults__", (size,))
        found, mine = learned_of(trainable, tree_layout(plant(rows, room)))
        assert found == pytest.approx(expected.item(), rel=most)
        assert apart(mine, wanted) < most


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("float64", 1e-9)])
def test_layers_that_keep_less_give_the_same_loss_and_gradient(family: str, precision: str, most: float) -> None:
    import torch

    trainable, layout = made(family, getattr(torch, precision)), tree_layout(plant(family_of_rows(), 2048))
    found = []
    for lean in (False, True):
        if lean:
            keep_less(trainable.model)
        kept: dict[int, int] = {}

        def keep(x: Any, kept: dict[int, int] = kept) -> Any:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss, grad = learned_of(trainable, layout)
        found.append((loss, grad, sum(kept.values())))
    (loss, grad, before), (again, mine, after) = found
    assert again == pytest.approx(loss, rel=most)
    assert apart(mine, grad) < most
    if family.startswith("gemma"):  # another norm, and GELU
        assert after == before
        assert torch.equal(mine, grad)
    else:
        assert after < 0.85 * before


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_rows_that_are_padded_instead_agree_too(family: str) -> None:
    import torch

    trainable, rows = made(family, torch.float64), family_of_rows()
    expected = reference(trainable, rows)
    wanted = gradient(trainable, expected)
    assert apart(learned_of(trainable, padded_layout(rows, 0))[1], wanted) < 1e-9


@pytest.mark.parametrize(
    "fields",
    [
        {"attention_dropout": 0.1},
        {"attn_logit_softcapping": 50.0},
        {"final_logit_softcapping": 30.0},
        {"layer_types": ["chunked_attention"] * 3},
        {"use_bidirectional_attention": True},
        {"model_type": "mistral"},
    ],
)
def test_a_model_whose_attention_or_logits_do_more_is_fed_rows(fields: dict[str, Any]) -> None:
    from types import SimpleNamespace

    assert plants_trees(SimpleNamespace(model_type="llama"))
    assert not plants_trees(SimpleNamespace(**{"model_type": "llama", **fields}))


def test_a_node_sees_its_ancestors_and_nothing_else() -> None:
    layout = tree_layout(plant(family_of_rows(), 30))
    assert layout.runs is not None
    trees = plant(family_of_rows(), 30)
    starts = [sum(len(t) for t in trees[:i]) for i in range(len(trees))]
    end = [s + e for s, t in zip(starts, trees, strict=True) for e in t.end]
    queries = 0
    for start, stop, keys, visible, _ in layout.runs.each:
        for i in range(start, stop):
            assert sorted(keys[visible[i - start]].tolist()) == [j for j in range(i + 1) if i < end[j]]
            queries += 1
    assert queries == len(end)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("lean", [True, False])
def test_bfloat16_products_are_those_of_autocast(tied: bool, lean: bool) -> None:
    import torch

    trainable, rows = made("qwen2", torch.float32, tie_word_embeddings=tied), family_of_rows()
    layouts = [tree_layout([t]) for t in plant(rows, 30)]
    assert len(layouts) > 1

    def total() -> Any:
        trainable.model.zero_grad(set_to_none=True)
        for layout in layouts:
            loss = backward(trainable, layout, lambda logps, _: -logps.sum(), bfloat16=True)
        return loss, torch.cat([p.grad.flatten() for p in trainable.parameters().values()])

    loss, wanted = total()
    exact = [learned_of(trainable, layout)[1] for layout in layouts]
    if lean:
        keep_less(trainable.model)
    with bf16_products(trainable.model) as products:
        found, ours = total()
        products.applied()  # the memory of the first gradient is used for the second: its values must be gone
        again, twice = total()
    assert found == pytest.approx(loss, rel=1e-3)
    assert apart(ours, wanted) < 0.3 * apart(wanted, sum(exact)) + 1e-6
    assert again == found
    assert torch.equal(twice, ours)
    assert "forward" not in vars(trainable.model.get_output_embeddings())


@pytest.mark.parametrize("bfloat16", [False, True])
def test_activations_computed_again_give_the_same_gradient(bfloat16: bool) -> None:
    import torch

    layout = tree_layout(plant(family_of_rows(), 2048))
    found = []
    for gradient_checkpointing in (False, True):
        trainable = made("llama", torch.float32)
        calls = [0]
        if gradient_checkpointing:
            trainable.model.activation_checkpointing_enable({"use_reentrant": False})
        norm = trainable.model.get_decoder().layers[0].input_layernorm
        norm.register_forward_hook(lambda *_, calls=calls: calls.__setitem__(0, calls[0] + 1))
        with bf16_products(trainable.model) if bfloat16 else nullcontext():
            found.append((learned_of(trainable, layout, bfloat16=bfloat16)[1], calls[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert [count for _, count in found] == [1, 2]


def test_the_copies_follow_the_weights_that_fused_adamw_moves() -> None:
    """It does not raise the version of what it writes to."""
    import torch

    rows = family_of_rows()
    layout = tree_layout(plant(rows, 2048))
    losses = []
    for copies in (False, True):
        trainable = made("llama", torch.float32)
        optimiser = torch.optim.AdamW(trainable.parameters().values(), lr=0.01, fused=True)
        seen = []
        with bf16_products(trainable.model) if copies else nullcontext() as products:
            for _ in range(8):
                loss = backward(trainable, layout, lambda logps, _: -logps.sum(), bfloat16=True)
                optimiser.step()
                if products is not None:
                    products.applied()
                optimiser.zero_grad(set_to_none=True)
                seen.append(loss)
        losses.append(seen)
    assert losses[0][-1] < 0.5 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
