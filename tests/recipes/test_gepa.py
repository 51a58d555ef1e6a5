"""GEPA on the scripted model: instructions that name a skill help with it, others go no further, and who reflects is
told apart from who answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from instar.errors import BudgetSpent, Cancelled, ConfigError, StepFailed
from instar.records import Decision, Message, Policy, Role, Task
from instar.scripted_world import weights_of
from instar.store.ledger import Ledger
from instar.update.memory import evolve_prompt
from instar.update.memory.evolve_prompt import EvolvePrompt, instructions_in
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, run

SETS = ("model=scripted", "audit_with=none", "sizes.train=42", "sizes.gate=100", "sizes.sealed=100",
        "evolve.calls=500")  # fmt: skip
"""21 tasks to reflect on, which minibatches of 4 do not part evenly."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed", recipe="gepa", common=SETS)


def records(runs: Path, name: str, kind: str) -> list[Any]:
    with closing(Ledger.read(runs / name / "ledger.db")) as ledger:
        return list(ledger.records(kind))


def asks(runs: Path, name: str) -> list[tuple[str, str]]:
    """Role and policy of each model call."""
    with closing(Ledger.read(runs / name / "ledger.db")) as ledger:
        return [(row["role"], row["policy"]) for row in ledger.rows("journal")]


def test_instructions_that_help_are_found_and_no_weight_moves(runs: Path, undisturbed: dict[str, Any]) -> None:
    sealed = undisturbed["sealed"]
    assert sealed["low"] > 0
    policies = {p.id: p for p in cast(list[Policy], records(runs, "undisturbed", "policy"))}
    assert len({p.weights.digest for p in policies.values()}) == 1
    assert {p.weights.place for p in policies.values()} == {"scripted"}  # tried on the way, and kept for what they are
    final = policies[undisturbed["final"]]
    assert (final.made_by, final.parent) == ("evolve_prompt", undisturbed["base"])
    assert "take the terms one at a time" in (final.system or "")
    assert content(runs, "undisturbed")  # it verifies


def test_each_prompt_that_was_written_has_its_reason(runs: Path, undisturbed: dict[str, Any]) -> None:
    made = [
        d for d in cast(list[Decision], records(runs, "undisturbed", "decision")) if d.reason.startswith("a prompt")
    ]
    why = Counter("validation" if "validation tasks" in d.reason else d.reason for d in made)
    assert why["a prompt: the reply has no instructions"] > 0
    assert why["a prompt: no better than its parent on the answers that it was written from"] > 0
    assert why["validation"] > 0
    assert [d.kept for d in made].count(True) == 1
    tried = [r for r in records(runs, "undisturbed", "solution") if r.flags == () and r.policy]
    assert len(tried) <= 500 + 4 * 100  # the budget, and two exams of two policies


def test_a_prompt_under_which_nothing_can_be_answered_scores_nothing_and_the_search_goes_on(
    runs: Path,
) -> None:
    search = searching(EvolvePrompt(), _Fails())
    task = Task(id="i1:t", messages=(Message(role=Role.user, content="?"),), ability="a", canonical="a", source="test")
    assert asyncio.run(search._answered([task], "Too long.")) == {"i1:t": (0.0, {})}
    with pytest.raises(StepFailed):  # the one that it has
        asyncio.run(search._answered([task], "Be careful."))


def test_what_stops_the_search_is_raised_and_no_later_ask_is_made() -> None:
    search = searching(EvolvePrompt(), _Fails())
    search.stop(BudgetSpent("all is spent."))
    with pytest.raises(Cancelled):
        search.evaluate([], {"system": "Be careful."})
    assert isinstance(search.failed, BudgetSpent)


def test_another_model_reflects_where_there_is_one(runs: Path) -> None:
    found = run(runs, "other", "judge_model=scripted:judge=1.0", recipe="gepa", common=(*SETS, "evolve.calls=60"))
    asked = asks(runs, "other")
    by_role = {role: {p for r, p in asked if r == role} for role, _ in asked}
    assert set(by_role) == {"self", "reflector"}
    assert by_role["reflector"].isdisjoint(by_role["self"])
    assert found["status"] == "finished"


def test_a_prompt_that_repeats_an_exam_goes_no_further_nor_one_that_cannot_be_used() -> None:
    op = EvolvePrompt(longest=40)
    search = searching(op, _Leaky())
    search._pool.add("Add twice.")
    assert search._unfit("What is 3 + 4?", "", cut=False) == "it repeats words of a task that is held out"
    assert search._unfit("Add.", "", cut=True) == "the reply was cut off"
    assert search._unfit("", "", cut=False) == "the reply has no instructions"
    assert search._unfit("Add.", "Add.", cut=False) == "it is the prompt that it was to better"
    assert search._unfit("Add twice.", "", cut=False) == "it is in the pool already"
    assert search._unfit("a" * 41, "", cut=False) == "it is longer than 40 characters"
    assert search._unfit("Add.", "", cut=False) is None


BASE = Policy(weights=weights_of({}), system="Be careful.")


class _Fails:
    def progress(self, done: int, total: int) -> None: ...

    def recall(self, key: str) -> None: ...

    async def remember(self, key: str, value: object) -> None: ...

    async def roll_out(self, name: str, policy: Policy, tasks: list[Task]) -> None:
        raise StepFailed("1 of 1 calls failed.")


class _Leaky:
    def leaks(self, texts: list[str]) -> list[bool]:
        return ["3 + 4" in t for t in texts]


def searching(op: EvolvePrompt, context: Any) -> evolve_prompt._Search:
    """A search from ``BASE`` with a context that has only what is tried here, and nobody and no loop to ask by."""
    nobody: Any = None
    return evolve_prompt._Search(op, BASE, context, nobody, nobody)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("Here:\n```\nAdd the numbers.\nThen stop.\n```\nGood luck!", "Add the numbers.\nThen stop."),
        ("```text\nAdd.\n```", "Add."), ("Add the numbers.", "Add the numbers."), ("```\nAdd.", "Add."),
        ("first ```a``` then ```b```", "b"), ("```\nAnswer\nwith a number.\n```", "Answer\nwith a number."),
        ("```\n请逐步计算\n只写答案\n```", "请逐步计算\n只写答案"),
        ("```\nold\n```\nBetter:\n```\nnew one", "new one"),
        ("Use\ttabs\u3000here.", "Use tabs here."),
        ("```\n\x1b[31mAdd.\x07\n```", "[31mAdd."), ("```\n```", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_instructions_of_a_reply_are_read_whatever_stands_around_them(reply: str, text: str) -> None:
    assert instructions_in(reply) == text


def test_a_budget_for_no_candidate_and_too_few_tasks_are_refused_before_a_token_is_spent(runs: Path) -> None:
    small = run(runs, "small", recipe="gepa", check=False, common=(*SETS, "evolve.calls=49"))
    assert "calls is 49" in small["error"]
    assert "take 50 answers" in small["error"]
    one = run(runs, "one", recipe="gepa", check=False, common=(*SETS, "sizes.train=1"))
    assert "cannot be parted" in one["error"]
    for name in ("small", "one"):
        assert asks(runs, name) == []


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolve_prompt, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="gepa is needed") as refused:
        EvolvePrompt().prepare({})
    assert "instar[gepa]" in str(refused.value.hint)


@pytest.mark.slow
def test_killed_in_the_middle_of_the_search_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "gepa", SETS, undisturbed, at=(15, 90, 260), common=())
