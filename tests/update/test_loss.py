"""The loss: on the answer alone, the same laid out as rows or as trees, and equal to a plain loop's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.update.weights.layout.minibatch import layouts
from instar.update.weights.layout.rows import Row
from instar.update.weights.layout.shared_prefix import padded_layout, plant, tree_layout
from instar.update.weights.trainer import answer_tokens, loop
from instar.update.weights.trainer.answer_tokens import _chosen, answer_logps
from instar.update.weights.trainer.model import TrainableModel, open_trainable
from tests.update.tiny import learned_of, make_model

# shared prefixes, a row that is the beginning of another, an exact repetition, the same tokens with another cut
ROWS = [
    Row((5, 6, 7, 8, 9, 1), 4),
    Row((5, 6, 7, 8, 10, 11, 1), 4),
    Row((5, 6, 7, 12, 13, 1), 4),
    Row((5, 6, 7, 8, 9), 4),
    Row((5, 6, 7, 8, 9, 1), 4),
    Row((5, 6, 7, 8, 9, 1), 2),
    Row((20, 21, 1), 2),
]


@pytest.fixture(scope="module")
def trainable(tmp_path_factory: pytest.TempPathFactory) -> TrainableModel:
    return open_trainable(make_model(tmp_path_factory.mktemp("model")), None, 0)


def gradients(trainable: TrainableModel, total: Any) -> Any:
    import torch

    trainable.model.zero_grad()
    total.backward()
    return torch.cat([p.grad.flatten() for p in trainable.parameters().values()])


def plain(trainable: TrainableModel, rows: list[Row]) -> Any:
    """One row at a time, all logits, labels: as a textbook has it."""
    import torch

    total = torch.zeros(())
    for row in rows:
        logits = trainable.model(torch.tensor([row.ids])).logits[0]
        for t in range(row.prompt, len(row.ids)):
            total = total - torch.log_softmax(logits[t - 1], -1)[row.ids[t]]
    return total


@pytest.mark.parametrize("room", [0, 4, 10, 512])
@pytest.mark.parametrize("logits", [1, 250, 10**9])
def test_rows_and_trees_of_any_size_give_the_loss_and_gradient_of_a_plain_loop(
    trainable: TrainableModel, room: int, logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_tokens, "LOGITS_AT_ONCE", logits)  # one node at a time, a few, all
    layout = tree_layout(plant(ROWS, room)) if room else padded_layout(ROWS, 0)
    expected = plain(trainable, ROWS)
    a = gradients(trainable, expected)
    found, b = learned_of(trainable, layout)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    assert ((a - b).norm() / a.norm()).item() < 1e-5
    logps = answer_logps(trainable, layout, 1.0)
    assert -logps.sum().item() == pytest.approx(expected.item(), rel=1e-5)
    assert not logps.requires_grad


def test_log_probabilities_at_a_temperature_are_those_of_divided_logits_and_so_is_their_gradient() -> None:
    import torch

    logits = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    node, targets = torch.tensor([0, 2, 2, 1, 2]), torch.tensor([3, 1, 1, 0, 6])
    found = _chosen(logits, node, targets, 0.7)
    wanted = (logits / 0.7).log_softmax(-1)[node, targets]
    assert torch.allclose(found, wanted, atol=1e-12)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    (a,) = torch.autograd.grad((found * weights).sum(), logits)
    (b,) = torch.autograd.grad((wanted * weights).sum(), logits)
    assert torch.allclose(a, b, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: _chosen(x, node, targets, 0.7), logits)


def test_all_logits_of_a_pass_are_never_held_at_once(
    trainable: TrainableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_tokens, "LOGITS_AT_ONCE", 250)
    head, seen = trainable.model.get_output_embeddings(), []
    hook = head.register_forward_hook(lambda _, __, out: seen.append(out.numel()))
    layout = tree_layout(plant(ROWS, 512))
    learned_of(trainable, layout)
    hook.remove()
    assert max(seen) <= 250
    assert sum(seen) == len(set(layout.where.tolist())) * head.weight.shape[0]  # a shared node counts once


def test_a_tree_holds_each_shared_token_once() -> None:
    (tree,) = plant(ROWS, 512)
    assert len(tree) == 11  # 5 6 7 8 9, 10 11, 12 13, 20 21: the last token of a row predicts nothing
    assert len(tree.targets) == sum(len(r.ids) - r.prompt for r in ROWS)
    assert all(len(t) <= 6 for t in plant(ROWS, 4))


def test_long_prompts_that_begin_alike_are_read_once_at_the_default_bound(trainable: TrainableModel) -> None:
    shots = tuple(i % 40 for i in range(600))
    alike = [Row((*shots, *([40 + i] * 30)), 605) for i in range(8)]
    assert [p.tokens for p in layouts(trainable, alike)] == [600 + 8 * 29]
    assert [p.tokens for p in layouts(trainable, alike, 511)] == [629] * 8  # a bound that somebody set
    many = [Row((*shots, *(40 + i * k % 19 for k in range(100))), 605) for i in range(19)]
    assert 700 < max(p.tokens for p in layouts(trainable, many)) <= 2 * 700
    far = [Row((*shots[:300], *([40 + i] * 330)), 605) for i in range(8)]  # more is new than stands there
    assert [p.tokens for p in layouts(trainable, far)] == [629] * 8
    assert max(len(t) for t in plant(alike, 511, 700)) == 600 + 3 * 29


def test_the_prompt_alone_has_no_part_in_the_loss(trainable: TrainableModel) -> None:
    import torch

    row = Row((5, 6, 7, 8, 9, 1), 4)
    layout = padded_layout([row], 0)
    assert layout.where.tolist() == [3, 4]
    assert layout.targets.tolist() == [9, 1]
    learned_of(trainable, layout)
    grad = trainable.model.get_output_embeddings().weight.grad
    # with an untied head only the *targets'* rows are pulled up; here: the answer tokens, and no token of the prompt
    hidden = trainable.model.get_decoder()(torch.tensor([row.ids[:-1]]), use_cache=False).last_hidden_state[0]
    head = trainable.model.get_output_embeddings().weight
    wanted = (hidden[3:5] @ head.T).softmax(-1)
    wanted[0, 9] -= 1
    wanted[1, 1] -= 1
    unused = [i for i in range(head.shape[0]) if i not in row.ids]  # tied: used tokens also get the input's gradient
    assert torch.allclose(grad[unused], (wanted.T @ hidden[3:5])[unused], atol=1e-5)


def test_a_step_cut_into_micro_batches_has_the_gradient_of_the_whole(
    trainable: TrainableModel,
) -> None:
    import torch

    found = []
    for most in (2048, 6):
        trainable.model.zero_grad()
        loss, _ = loop._gradients(trainable, ROWS, False, most)
        found.append((loss, torch.cat([p.grad.flatten() for p in trainable.parameters().values()]).clone()))
    assert len(layouts(trainable, ROWS, 6)) > 2
    answers = sum(len(r.ids) - r.prompt for r in ROWS)
    assert found[0][0] == pytest.approx(plain(trainable, ROWS).item() / answers, rel=1e-5)
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert ((found[1][1] - found[0][1]).norm() / found[0][1].norm()).item() < 1e-5


def test_an_architecture_that_takes_no_trees_is_fed_plain_rows(tmp_path: Path) -> None:
    trainable = open_trainable(make_model(tmp_path, kind="gpt2"), None, 0)
    assert not trainable.trees
    assert all(layout.runs is None for layout in layouts(trainable, ROWS))
    trainable.model.eval()  # its dropout
    (layout,) = layouts(trainable, ROWS)
    assert learned_of(trainable, layout)[0] == pytest.approx(plain(trainable, ROWS).item(), rel=1e-5)
