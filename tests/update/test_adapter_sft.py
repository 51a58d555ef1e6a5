"""An adapter for one role: the weights stay, the other roles stay, and engines make of it what was trained."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from instar.engines.hf.engine import TransformersEngine
from instar.errors import DataError, ModelError
from instar.fingerprint import FILE
from instar.records import Exchange, Finish, Message, Policy, Reply, Role, Said, Sampling
from instar.scripted_world import base_policy, skills_of
from instar.update.weights.adapter_sft import AdapterSFT, said_by_role
from instar.update.weights.trainer.model import Lora
from tests.update.tiny import Context, experience, make_model, policy_in, sums

OP = AdapterSFT(
    role="planner", learning_rate=2e-2, epochs=8, batch_size=4, precision="float32", lora=Lora(rank=4),
    checkpoint_steps=2, checkpoint_seconds=1e9,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def trained(context: Context, policy: Policy, op: AdapterSFT = OP, data: Any = None) -> Policy:
    return asyncio.run(op(policy, sums() if data is None else data, context))


def likely(context: Context, policy: Policy, role: str, answer: str, question: str = "2+5") -> float:
    """The log-probability of an answer by what plays the role."""
    engine = TransformersEngine(context.artefacts, device="cpu", cache_gb=0.1)
    asked = [Message(role=Role.system, content="Add."), Message(role=Role.user, content=question)]

    async def work() -> float:
        acting = policy.acting(role)
        (r,) = await engine.ask(acting, asked, n=1, sampling=Sampling(max_tokens=4), seed=1, precision="f32")
        said = r.model_copy(update={"text": answer, "token_ids": None})
        (found,) = await engine.score(acting, asked, [said], precision="f32")
        return sum(found)

    try:
        return asyncio.run(work())
    finally:
        engine.close()


def test_a_role_learns_and_nothing_else_of_the_policy_changes(tmp_path: Path, folder: Path) -> None:
    context = Context(tmp_path)
    base = policy_in(context, folder).model_copy(update={"adapters": {"critic": "0" * 64}}).identified()
    made = trained(context, base)
    assert made.weights == base.weights
    assert made.adapters == {**base.adapters, "planner": made.adapters["planner"]}
    assert (made.parent, made.made_by) == (base.id, "adapter_sft")
    assert made.id != base.id
    assert likely(context, made, "planner", "7") > likely(context, made, "self", "7") + 1
    assert likely(context, made, "self", "7") == likely(context, base, "self", "7")


def test_an_adapter_is_small_names_its_weights_and_is_what_was_trained(tmp_path: Path, folder: Path) -> None:
    context = Context(tmp_path)
    base = policy_in(context, folder)
    kept = context.artefacts.open(trained(context, base).adapters["planner"])
    assert {p.name for p in kept.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
        FILE,
    }
    assert base.weights.digest in (kept / "adapter_config.json").read_text()
    other = policy_in(context, make_model(tmp_path / "other", seed=1))
    stolen = other.model_copy(update={"adapters": {"planner": kept.name}}).identified()
    with pytest.raises(ModelError, match="was trained on the weights"):
        likely(context, stolen, "planner", "7")
    (kept / FILE).write_text((kept / FILE).read_text().replace("-", "-1"))  # what the trainer had in memory was another
    with pytest.raises(ModelError, match="does not run the model of"):
        likely(context, base.model_copy(update={"adapters": {"planner": kept.name}}).identified(), "planner", "7")


def test_it_is_trained_anew_and_takes_the_place_of_the_roles_earlier_adapter(tmp_path: Path, folder: Path) -> None:
    context = Context(tmp_path / "a")
    first = trained(context, policy_in(context, folder))
    again = trained(Context(tmp_path / "b"), policy_in(Context(tmp_path / "b"), folder))
    assert again.adapters == first.adapters  # the same rows on the same weights
    context.journal.clear()
    second = trained(context, first)
    assert second.adapters == first.adapters
    assert second.parent == first.id


def test_the_scripted_model_learns_a_role_behind_the_same_door(tmp_path: Path) -> None:
    base = base_policy()
    made = trained(Context(tmp_path), base)
    assert made.weights == base.weights
    assert skills_of(made.acting("planner").weights)["other"] == skills_of(base.weights)["other"]
    assert skills_of(made.acting("self").weights) == skills_of(base.weights)
    with pytest.raises(DataError, match="nothing to train on"):
        trained(Context(tmp_path), base, data=[])


def test_what_was_said_in_another_role_is_not_learned(tmp_path: Path, folder: Path) -> None:
    context = Context(tmp_path)
    policy = policy_in(context, folder)
    for id, role in (("i1:a", "planner"), ("i1:b", "self")):
        context.calls[id] = Exchange(
            id=id, call="i1:c", turn=0, role=role, ask="i1:x", policy=policy.id, engine="e", precision="f32",
            replies=(Reply(text="7", finish=Finish.stop, policy=policy.id, engine="e", precision="f32"),),
        )  # fmt: skip
    both = experience("2+5", "7", "1")
    turns = tuple(
        t.model_copy(update={"said": Said(exchange=id, reply=0)})
        for t, id in zip(both.solution.turns, ("i1:a", "i1:b"), strict=True)
    )
    both = both.model_copy(update={"solution": both.solution.model_copy(update={"turns": turns})})
    unknown = experience("2+6", "8")
    kept = said_by_role("planner", [both, unknown], context)
    assert [[t.train for t in e.solution.turns] for e in kept] == [[True, False], [True]]
    with pytest.raises(DataError, match="no turn may be trained on"):
        trained(context, policy, OP.model_copy(update={"role": "critic"}), data=[both])
