"""Terms beside the loss: the numbers of torch, nothing where nothing differs, and held where it is told to be."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from instar.errors import BudgetSpent, ConfigError, StoreError
from instar.records import Policy
from instar.scripted_world import START, base_policy, weights_of
from instar.update.weights.regularised_sft import RegularisedSFT
from instar.update.weights.sft import SFT
from tests.update.tiny import Context, experience, make_model, policy_in, sums

COMMON: dict[str, Any] = {
    "learning_rate": 1e-2, "epochs": 2, "batch_size": 4, "precision": "float32", "checkpoint_steps": 2,
    "checkpoint_seconds": 1e9,
}  # fmt: skip
NONE: dict[str, Any] = {**COMMON, "kl": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


class Place:
    """An update context, a policy, and what its updates made; ``earlier`` is what the policy learned before."""

    def __init__(self, root: Path, folder: Path, earlier: Any = (), watch: Any = None) -> None:
        self.context = Context(root, watch=watch)
        self.context.references = {}
        self.context.ancestors = lambda policy: list(earlier)  # type: ignore[method-assign]
        self.policy = policy_in(self.context, folder)

    def trained(self, op: SFT) -> Policy:
        return asyncio.run(op(self.policy, sums(), self.context))

    def tensors(self, policy: Policy) -> dict[str, Any]:
        from safetensors.torch import load_file

        return dict(load_file(self.context.artefacts.open(policy.weights.digest) / "model.safetensors"))

    def moved(self, policy: Policy, *, by: Any = None) -> float:
        before, after = self.tensors(self.policy), self.tensors(policy)
        return sum(float(((after[n] - before[n]) ** 2 * (1 if by is None else by[n])).sum()) for n in before)

    def told(self, name: str) -> list[float]:
        return [f[name] for (unit, _), f in sorted(self.context.curves.items()) if unit == "step"]


def test_with_no_term_it_is_sft_to_the_bit(tmp_path: Path, folder: Path) -> None:
    plain, none = Place(tmp_path / "a", folder), Place(tmp_path / "b", folder)
    one, two = (p.tensors(p.trained(op)) for p, op in ((plain, SFT(**COMMON)), (none, RegularisedSFT(**NONE))))
    assert all((one[n] == two[n]).all() for n in one)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_divergence_and_its_gradient_are_those_of_torch(direction: Any) -> None:
    import torch
    from torch.nn.functional import kl_div

    from instar.update.weights.losses.terms import divergence

    g = torch.Generator().manual_seed(1)
    mine, theirs = (torch.randn(5, 30, generator=g) for _ in range(2))
    found, wanted = mine.clone().requires_grad_(), mine.clone().requires_grad_()
    ours = divergence(found, theirs, direction)
    ours.sum().backward()
    p, q = wanted.log_softmax(-1), theirs.log_softmax(-1)
    other = kl_div(p, q, reduction="sum", log_target=True) if direction == "forward" else kl_div(
        q, p, reduction="sum", log_target=True
    )  # fmt: skip
    other.backward()
    assert float(ours.sum().detach()) == pytest.approx(float(other.detach()), rel=1e-5)
    assert torch.allclose(found.grad, wanted.grad, atol=1e-6)


@pytest.mark.parametrize("trees", [True, False])
def test_a_steps_gradient_is_that_of_the_loss_and_beta_times_the_mean_divergence(folder: Path, trees: bool) -> None:
    """Against whole logits and autograd, over rows that share their prompts, a few nodes at a time."""
    import torch

    from instar.update.weights.layout.minibatch import lay_out
    from instar.update.weights.layout.rows import Row
    from instar.update.weights.losses.sft import cross_entropy
    from instar.update.weights.losses.terms import TokenKL, divergence
    from instar.update.weights.trainer import answer_tokens
    from instar.update.weights.trainer.model import open_trainable
    from instar.update.weights.trainer.trainer import gradient

    rows = [Row((5, 6, 7, 8, 9, 1), 3), Row((5, 6, 7, 8, 4, 4, 1), 3), Row((20, 21, 1), 2)]
    trainable, reference = (open_trainable(folder, None, 0) for _ in range(2))
    with torch.no_grad():
        for p in reference.model.parameters():
            p.mul_(1.1)
    trainable, reference = trainable._replace(trees=trees), reference._replace(trees=trees)
    if not trees:
        for each in (trainable, reference):
            each.model.set_attn_implementation("eager")
    batch = lay_out(trainable, rows, 8)
    kl = TokenKL(reference, 0.7)
    before, answer_tokens.LOGITS_AT_ONCE = answer_tokens.LOGITS_AT_ONCE, 2 * 97
    try:
        loss = gradient(trainable, batch, cross_entropy(batch.answers), bfloat16=False, terms=[kl])
    finally:
        answer_tokens.LOGITS_AT_ONCE = before
    found = {n: p.grad.clone() for n, p in trainable.parameters().items()}
    trainable.model.zero_grad(set_to_none=True)
    plain, other = (open_trainable(folder, None, 0).model for _ in range(2))
    other.load_state_dict(reference.model.state_dict())
    for model in (plain, other):
        model.set_attn_implementation("eager")
    nll, apart = torch.zeros(()), torch.zeros(())
    for row in rows:
        ids = torch.tensor([row.ids])
        at = slice(row.prompt - 1, len(row.ids) - 1)
        logits = plain(input_ids=ids).logits[0, at]
        nll = nll - logits.log_softmax(-1).gather(-1, ids[0, row.prompt :, None]).sum()
        apart = apart + divergence(logits, other(input_ids=ids).logits[0, at].detach(), "forward").sum()
    ((nll + 0.7 * apart) / batch.answers).backward()
    assert loss == pytest.approx(float(nll.detach()) / batch.answers, rel=1e-5)
    assert kl.came_to({}) == pytest.approx(float(apart.detach()) / batch.answers, rel=1e-4)
    for name, p in plain.named_parameters():
        assert torch.allclose(found[name], p.grad, atol=2e-5), name


def test_kl_holds_the_answers_tokens_near_the_reference(tmp_path: Path, folder: Path) -> None:
    weak, strong = Place(tmp_path / "a", folder), Place(tmp_path / "b", folder)
    weak.trained(RegularisedSFT(**{**COMMON, "kl": 1e-6}))
    strong.trained(RegularisedSFT(**{**COMMON, "kl": 5.0}))
    assert weak.told("kl")[0] == pytest.approx(0.0, abs=1e-6)  # the first step is taken where the reference is
    assert 0 < strong.told("kl")[-1] < 0.3 * weak.told("kl")[-1]
    assert strong.told("loss")[-1] > weak.told("loss")[-1]


def test_l2_sp_holds_all_weights_and_its_figure_is_half_the_squared_distance(tmp_path: Path, folder: Path) -> None:
    free, held = Place(tmp_path / "a", folder), Place(tmp_path / "b", folder)
    weak = free.trained(RegularisedSFT(**NONE, l2_sp=1e-9))
    strong = held.trained(RegularisedSFT(**NONE, l2_sp=2.0))
    assert held.moved(strong) < 0.7 * free.moved(weak)
    assert free.told("l2_sp")[0] == 0.0
    assert 0 < free.told("l2_sp")[-1] < 1e-9 * free.moved(weak)


def test_the_fisher_information_is_the_mean_squared_gradient_of_each_row(folder: Path) -> None:
    import torch

    from instar.update.weights.layout.rows import Row
    from instar.update.weights.losses.terms import fisher
    from instar.update.weights.trainer.model import open_trainable

    rows = [Row((5, 6, 7, 8, 1), 3), Row((20, 21, 22, 1), 2)]
    trainable, plain = open_trainable(folder, None, 0), open_trainable(folder, None, 0).model
    found = fisher(trainable, rows, at_once=64)
    wanted: dict[str, Any] = {n: torch.zeros_like(p) for n, p in plain.named_parameters()}
    for row in rows:
        plain.zero_grad()
        ids = torch.tensor([row.ids])
        logps = plain(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None]).squeeze(-1)
        logps[row.prompt - 1 :].sum().backward()
        for n, p in plain.named_parameters():
            wanted[n] += p.grad**2 / len(rows)
    assert all(torch.allclose(found[n], wanted[n], rtol=1e-3, atol=1e-6) for n in wanted)
    assert all(p.grad is None for p in trainable.parameters().values())


def test_ewc_holds_what_mattered_for_what_was_learned_before(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file

    earlier = [experience(f"{i}-1", str(i - 1)) for i in range(2, 8)]
    free, held = Place(tmp_path / "a", folder, earlier), Place(tmp_path / "b", folder, earlier)
    weak, strong = (p.trained(RegularisedSFT(**NONE, ewc=s)) for p, s in ((free, 1e-9), (held, 20.0)))
    assert not list(held.context.scratch.glob("fisher*"))  # it went with the training that it was for
    asyncio.run(RegularisedSFT(**NONE, ewc=20.0)._weigh(held.policy, tmp_path / "fisher", held.context))
    importance = {n: t.float() for n, t in load_file(tmp_path / "fisher" / "fisher.safetensors").items()}
    assert held.moved(strong, by=importance) < 0.2 * free.moved(weak, by=importance)
    assert json.loads((held.context.artefacts.open(strong.weights.digest) / "training.json").read_text())["terms"] == [
        "ewc"
    ]
    assert held.told("ewc")[-1] > 0
    nothing = Place(tmp_path / "c", folder)  # learned nothing yet: there is nothing to hold, and it says so
    nothing.trained(RegularisedSFT(**NONE, ewc=1.0))
    assert any("ewc has nothing to hold" in note for note in nothing.context.notes)


def test_of_many_answers_the_fisher_information_is_of_some_spread_over_all(tmp_path: Path, folder: Path) -> None:
    earlier = [experience(f"{i}-1", str(i - 1)) for i in range(127)]
    place = Place(tmp_path, folder, earlier)
    sampled = [earlier.index(e) for e in RegularisedSFT(ewc=1.0)._sampled(place.policy, place.context)]
    assert len(set(sampled)) == 64
    assert max(b - a for a, b in zip(sampled, [*sampled[1:], 127], strict=True)) <= 2


def test_stopped_and_begun_again_it_ends_with_the_same_weights(tmp_path: Path, folder: Path) -> None:
    op = RegularisedSFT(**{**COMMON, "kl": 0.5}, l2_sp=0.1, ewc=0.5)
    earlier = [experience(f"{i}-1", str(i - 1)) for i in range(2, 6)]
    whole = Place(tmp_path / "a", folder, earlier)
    wanted = whole.trained(op)

    def watch(done: int) -> None:
        if done == 5 and not broken.context.journal.get("again"):
            broken.context.journal["again"] = True
            raise BudgetSpent("enough.")

    broken = Place(tmp_path / "b", folder, earlier, watch)
    with pytest.raises(BudgetSpent):
        broken.trained(op)
    assert list(broken.context.scratch.glob("checkpoint-*"))
    assert len(list(broken.context.scratch.glob("fisher-*"))) == 1
    assert broken.trained(op).weights.digest == wanted.weights.digest


def test_a_reference_by_name_is_held_to_and_one_that_is_not_there_or_gone_is_refused(
    tmp_path: Path, folder: Path
) -> None:
    place = Place(tmp_path, folder)
    other = policy_in(place.context, make_model(tmp_path / "other", seed=5))
    place.context.references = {"anchor": other}
    place.trained(RegularisedSFT(**COMMON, reference="anchor"))
    assert place.told("kl")[0] > 0.01  # apart from the first step on
    with pytest.raises(ConfigError, match="the reference 'base', and the recipe hands over anchor"):
        place.trained(RegularisedSFT(**COMMON, reference="base"))
    with pytest.raises(ConfigError, match="with lora pulls the adapter's weights"):
        place.trained(RegularisedSFT(**{**NONE, "l2_sp": 1.0, "lora": {"rank": 2}}, reference="anchor"))
    gone = tmp_path / "gone"
    from instar.store.artefacts import Artefacts

    place.context.artefacts = Artefacts(gone)  # type: ignore[assignment]
    with pytest.raises(StoreError, match="is not in"):
        place.trained(RegularisedSFT(**COMMON))


def test_with_an_adapter_the_weights_that_are_pulled_are_its_own(tmp_path: Path, folder: Path) -> None:
    place = Place(tmp_path, folder)
    place.trained(RegularisedSFT(**{**NONE, "l2_sp": 1.0, "lora": {"rank": 2, "alpha": 4}}))
    assert place.told("l2_sp")[0] == 0.0 < place.told("l2_sp")[-1]
    shutil.rmtree(tmp_path / "artefacts")


def test_the_scripted_model_stays_nearer_to_where_it_was(tmp_path: Path) -> None:
    context = Context(tmp_path)
    rows = [experience("What is 2 + 3?", "5")] * 5
    free = asyncio.run(SFT()(base_policy(), rows, context)).weights.skills or {}
    held = asyncio.run(RegularisedSFT(kl=1.0)(base_policy(), rows, context)).weights.skills or {}
    assert held["add"] - START["add"] == pytest.approx((free["add"] - START["add"]) / 2)
    anchor = Policy(weights=weights_of({**START, "add": 0.9})).identified()
    context.references = {"anchor": anchor}
    led = asyncio.run(RegularisedSFT(kl=1.0, reference="anchor")(base_policy(), rows, context)).weights.skills or {}
    assert led["add"] == pytest.approx((free["add"] + 0.9) / 2)
    assert math.isfinite(led["add"])
