"""Settings and sources under the names they had before: configs are understood and told, ids and runs stay."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from instar.app.configs.config import Plan, plan
from instar.app.configs.config_file import read
from instar.app.preflight.foreseen import renamed
from instar.app.sessions.renamed import RENAMED
from instar.app.sessions.same_run import same_run
from instar.errors import CannotContinue, ConfigError
from instar.protocols import Update, UpdateContext, formerly, identity
from instar.records import Experience, Policy
from instar.store.door import open_ledger
from instar.update.weights.adapter_sft import AdapterSFT
from instar.update.weights.dpo import Dpo
from instar.update.weights.grpo import Grpo
from instar.update.weights.sft import SFT

BOTH = [
    ("clip", "max_grad_norm", 0.5), ("recompute", "gradient_checkpointing", True),
    ("tokens_at_once", "max_tokens_per_microbatch", 300),
]  # fmt: skip


def planned(recipe: str, name: str, value: object) -> Plan:
    return plan(read(recipe, ["model=scripted", f"train.{name}={str(value).lower()}"]))


@pytest.mark.parametrize("recipe", ["grpo", "rest_em"])
@pytest.mark.parametrize(("old", "new", "value"), BOTH)
def test_a_setting_under_its_old_name_is_the_same_setting_and_is_answered_with_the_new_one(
    recipe: str, old: str, new: str, value: object
) -> None:
    before, now = planned(recipe, old, value), planned(recipe, new, value)
    assert renamed(before) == [f"train.{old} is called train.{new} now; its old name is still understood."]
    assert renamed(now) == []
    assert before.digest() == now.digest() != plan(read(recipe, ["model=scripted"])).digest()
    assert identity(now.settings)["train"][old] == value
    assert new not in identity(now.settings)["train"]


def test_a_setting_under_both_names_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.clip and train\.max_grad_norm are one setting"):
        plan(read("grpo", ["train.clip=1", "train.max_grad_norm=2"]))
    with pytest.raises(ConfigError, match=r"there is no key 'train\.clips'"):
        plan(read("grpo", ["train.clips=1"]))


def test_every_update_that_has_such_a_setting_had_it_under_its_old_name() -> None:
    assert formerly(SFT) == formerly(AdapterSFT) == formerly(Grpo) == formerly(Dpo) == {n: o for o, n, _ in BOTH}


def test_an_update_of_somebody_elses_has_the_names_that_it_was_given() -> None:
    class Mine(Update):
        name: ClassVar[str] = "mine"
        max_grad_norm: float = 1.0

        async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
            return policy

    assert identity(Mine()) == {"op": "mine", "version": 1, "max_grad_norm": 1.0}


def test_a_run_whose_sources_had_other_names_inside_goes_on_and_one_with_another_source_does_not(
    tmp_path: Path,
) -> None:
    made = planned("rest_em", "max_grad_norm", 0.5)
    (sft,) = [op for op in made.ops() if op.name == "sft"]
    for source, goes_on in ((min(RENAMED), True), ("0" * 32, False)):
        with closing(open_ledger(tmp_path / f"{source}.db", "write")) as ledger:
            ledger.add_ops([(sft.op_id, "sft", identity(sft), source)])
            ledger.set_about(config_digest=made.digest())
            if goes_on:
                assert same_run(ledger, made, False) == frozenset()
                continue
            with pytest.raises(CannotContinue, match="the source of 'sft' changed since this run was made"):
                same_run(ledger, made, False)
