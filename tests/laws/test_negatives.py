"""Law: what was meant wrong is trained toward by no update of weights; and the row builder refuses it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.registry import BUILT_IN
from instar.errors import DataError, InstarError
from instar.protocols import Update
from instar.records import Experience, Polarity, Policy
from instar.scripted_world import base_policy, skills_of
from instar.update.weights.layout.rows import NEGATIVE, rows_of
from tests.update.tiny import Context, experience, make_model, pair, policy_in

UPDATES = [c for c in BUILT_IN if issubclass(c, Update) and c.trains]  # a memory may hold a warning


def negative(index: int = 1) -> Experience:
    return pair(experience("1+1", "2"), experience("1+1", "3", index=index)).rejected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def moved(op: Any, context: Context, policy: Policy, data: list[Experience]) -> bool:
    """Whether an update made another model of these answers, or said that it learned one of them toward."""
    context.told, context.rollout_prompts = [], None  # type: ignore[attr-defined]  # an update that rolls out has nothing to roll out on
    try:
        made = asyncio.run(op(policy, data, context))
    except InstarError:  # a refusal
        return False
    if policy.weights.place == "scripted":
        other = skills_of(made.acting("self").weights) != skills_of(policy.weights)
    else:
        other = (made.weights.digest, made.adapters) != (policy.weights.digest, policy.adapters)
    return other or any(t.sign > 0 for t in context.told)


@pytest.mark.parametrize("kind", UPDATES, ids=lambda c: c.name)
def test_no_update_is_moved_by_a_negative_or_says_that_it_learned_it(kind: Any, folder: Path, tmp_path: Path) -> None:
    try:
        op = kind()
    except ValueError:  # it has no defaults: what it needs is not answers
        return
    context = Context(tmp_path)
    for policy in (base_policy(), policy_in(context, folder)):
        assert not moved(op, context, policy, [negative()])


def test_the_law_would_see_one_that_is(folder: Path, tmp_path: Path) -> None:
    from instar.update.weights.sft import SFT

    context, plain = Context(tmp_path), experience("1+1", "3", index=1)
    assert plain.solution.polarity is Polarity.unknown
    for policy in (base_policy(), policy_in(context, folder)):
        assert moved(SFT(epochs=1, precision="float32"), context, policy, [plain])


def test_the_row_builder_refuses_a_negative_and_keeps_the_rest(folder: Path) -> None:
    shop_policy = base_policy()
    rows = rows_of(shop_policy, [experience("1+1", "2"), negative()], folder, 256)
    assert (len(rows.kept), rows.refused) == (1, {NEGATIVE: 1})
    with pytest.raises(DataError, match=NEGATIVE):
        rows_of(shop_policy, [negative()], folder, 256)
    assert len(rows_of(shop_policy, [negative()], folder, 256, negatives=True).kept) == 1
