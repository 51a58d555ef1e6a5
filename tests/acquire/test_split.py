"""Selecting tasks for objectives: each setting its share, siblings where one is short, and the uniform comparison."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from instar.acquire.tasks.jsonl import Jsonl
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.acquire.tasks.split import Split
from instar.errors import ConfigError
from instar.records import Message, Objective, Role, Task


def pool(**sizes: int) -> list[Task]:
    return [
        Task(id=f"{a}{i}", messages=(Message(role=Role.user, content=f"{i}?"),), ability=a.replace("__", "/"),
             canonical=f"{a}{i}", source="test")
        for a, n in sizes.items() for i in range(n)
    ]  # fmt: skip


def tree(**tasks: int) -> list[Objective]:
    families: dict[str, int] = {}
    leaves = []
    for name, n in tasks.items():
        ability = name.replace("__", "/")
        family = ability.partition("/")[0]
        if family != ability:
            families[family] = families.get(family, 0) + n
        parent = family if family != ability else "*"
        leaves.append(Objective(ability=ability, tasks=n, parent=parent, direction="improve" if n else "guard"))
    root = Objective(ability="*", tasks=sum(tasks.values()))
    return [root, *(Objective(ability=f, tasks=n, parent="*") for f, n in families.items()), *leaves]


def take(op: Split, objectives: list[Objective], tasks: list[Task]) -> Counter[str]:
    chosen = asyncio.run(op(objectives, tasks, {}))
    assert len({t.id for t in chosen}) == len(chosen)
    return Counter(t.ability for t in chosen)


def test_each_setting_gets_its_share_and_a_guarded_one_nothing() -> None:
    objectives = tree(sum__two=3, sum__four=7, gcd=0)
    assert take(Split(), objectives, pool(sum__two=20, sum__four=20, gcd=20)) == {"sum/two": 3, "sum/four": 7}


def test_siblings_give_what_a_setting_lacks_and_other_families_do_not() -> None:
    objectives = tree(sum__two=3, sum__four=7, gcd=2)
    found = take(Split(), objectives, pool(sum__two=20, sum__four=4, gcd=20))
    assert found == {"sum/two": 6, "sum/four": 4, "gcd": 2}
    assert take(Split(), tree(gcd=5, sum__two=1), pool(gcd=3, sum__two=9)) == {"gcd": 3, "sum/two": 1}


def test_uniform_ignores_the_split_and_spends_the_same_budget() -> None:
    objectives = tree(sum__two=1, sum__four=9, gcd=0)
    found = take(Split(uniform=True), objectives, pool(sum__two=20, sum__four=20, gcd=20))
    assert found == {"sum/two": 4, "sum/four": 3, "gcd": 3}


def test_two_settings_of_a_family_are_two_abilities_with_rising_difficulty_and_share_no_task() -> None:
    source = ReasoningGym(
        families={
            "chain_sum/two": {"min_terms": 2, "max_terms": 2},
            "chain_sum/three": {"min_terms": 3, "max_terms": 3},
            "gcd": {},
        }
    )
    tasks = source({"train": 9}, {"train": 1})["train"]
    assert [t.ability for t in tasks[:3]] == ["chain_sum/two", "chain_sum/three", "gcd"]
    assert [t.difficulty for t in tasks[:3]] == [0.0, 1.0, None]
    assert {t.private["family"] for t in tasks} == {"chain_sum", "gcd"}
    assert {t.source for t in tasks} == {"reasoning_gym/chain_sum", "reasoning_gym/gcd"}
    assert len({t.canonical for t in tasks}) == 9


@pytest.mark.parametrize("key", ["chain_sum/", "/two", "chain_sum/two/deep"])
def test_a_key_that_is_not_family_or_family_and_setting_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="not a family or family/setting"):
        ReasoningGym(families={key: {}})


def test_a_jsonl_row_may_name_family_and_setting(tmp_path: Path) -> None:
    rows = [{"question": f"{i} + 1?", "answer": i + 1, "ability": "sum/easy"} for i in range(3)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    tasks = Jsonl(path=str(tmp_path / "own.jsonl"))({"train": 3}, {"train": 1})["train"]
    assert {t.ability for t in tasks} == {"sum/easy"}
