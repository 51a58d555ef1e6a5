"""AutoAct on the scripted model: three roles learn from right episodes alone, each from its own; a kill inside changes
nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.environments.village import Village
from instar.acquire.solutions.group import ROLES, Group
from instar.app.configs.shots import Shot
from instar.app.configs.villagers import villagers
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import NothingToLearn, StoreError
from instar.recipes.autoact import AutoAct, autoact
from instar.records import Objective, Policy, Solution, Task, mint
from instar.refine.filters.inverted import Inverted
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.run.run import Sets
from instar.scripted_world import skills_of
from instar.store.ledger import Ledger
from tests.acquire.test_group import Falls
from tests.recipes.scripted import run as started
from tests.run.test_run import run_in, stored

SMALL = (
    "model=scripted", "sizes.train=6", "sizes.gate=16", "sizes.sealed=20", "questions=8",
    "solve.samples=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return started(runs, "undisturbed", recipe="autoact", common=SMALL)


def test_no_text_is_planted_where_episodes_are_judged(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["audit"] == []


def policy_of(runs: Path, name: str, id: str) -> Policy:
    with closing(Ledger.read(runs / name / "ledger.db")) as ledger:
        (found,) = [r for r in ledger.records("policy") if isinstance(r, Policy) and r.id == id]
    return found


def skill(policy: Policy, role: str) -> float:
    return skills_of(policy.acting(role).weights).get(role, 0.0)


def test_three_roles_learn_and_the_group_answers_what_it_never_saw(runs: Path, undisturbed: dict[str, Any]) -> None:
    sealed = undisturbed["sealed"]
    assert (undisturbed["status"], sealed["n"]) == ("finished", 20)
    assert sealed["gain"] > 0.3
    made = policy_of(runs, "undisturbed", undisturbed["final"])
    assert len(set(made.adapters.values())) == 3
    assert min(skill(made, role) for role in ("plan", "tool", "reflect")) > 0.6
    # each is taught by what was said in its own role alone
    assert "tool" not in skills_of(made.acting("plan").weights)
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    tasks = {t.id: t for t in ledger.records("task") if isinstance(t, Task)}
    own = [t for t in tasks.values() if t.objective]
    assert len(own) == 8
    assert [o.tasks for o in ledger.records("objective") if isinstance(o, Objective)] == [8]
    reached = ledger.ancestors(made.id)
    sets = ledger.sets()
    assert not reached & {t for name in ("gate", "sealed") for t in sets[name]}
    acted = {s.task for s in ledger.records("solution") if isinstance(s, Solution) and len(s.turns) > 1}
    assert {t.id for t in own} <= acted
    ledger.close()


TASKS = Village()({"train": 4, "gate": 4}, {"train": 1, "gate": 2})
SETS = {
    name: tuple(t.model_copy(update={"id": mint("task", f"i1:{name}", (), 0, i)}) for i, t in enumerate(tasks))
    for name, tasks in TASKS.items()
}
SHOTS = tuple(m for shot in villagers(signatures=True) for m in Shot.model_validate(shot).turns())


def ended(folder: Path, engine: ScriptedEngine, keep_going: bool = False, **settings: Any) -> Policy:
    """The last candidate of a small run, which stands in this folder."""
    folder.mkdir(exist_ok=True)
    run = run_in(folder, engine)
    run.base = run.base.model_copy(update={"few_shots": SHOTS, "id": ""}).identified()
    run.tasks, run.keep_going = Sets(SETS["train"], (), SETS["gate"], ()), keep_going
    stored(run, SETS["train"])
    cfg = AutoAct(**{"questions": 6, "solve": Group(environment=Village(), samples=3), **settings})
    try:
        asyncio.run(autoact(run, cfg))
        found = [r for r in run.ledger.records("policy") if isinstance(r, Policy)]
        return max(found, key=lambda p: len(p.adapters))
    finally:
        run.ledger.close()


def engine(at: int = -1) -> Falls:
    return Falls(at)


def test_wrong_episodes_and_what_another_role_said_teach_nothing_good(tmp_path: Path) -> None:
    right = ended(tmp_path / "right", engine())
    assert skill(right, "plan") > 0.6
    wrong = ended(tmp_path / "wrong", engine(), right=Inverted(inner=ScoreAtLeast(minimum=1.0)))
    assert skill(wrong, "plan") < 0.6
    shuffled = ended(tmp_path / "shuffled", engine(), split="shuffled")
    assert {role: set(skills_of(shuffled.acting(role).weights)) & set(ROLES) for role in ROLES} == {
        "plan": {"tool"}, "tool": {"reflect"}, "reflect": {"plan"},
    }  # fmt: skip


def test_one_adapter_can_be_all_roles_and_without_reflection_there_are_two(tmp_path: Path) -> None:
    one = ended(tmp_path / "one", engine(), split="one", questions=0)
    assert len(one.adapters) == 3
    assert len(set(one.adapters.values())) == 1
    assert min(skill(one, role) for role in ("plan", "tool")) > 0.6
    two = ended(tmp_path / "two", engine(), solve=Group(environment=Village(), samples=3, reflect=False))
    assert set(two.adapters) == {"plan", "tool"}


def test_tools_drawn_by_lot_that_answer_nothing_end_the_run_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(NothingToLearn, match=r"0 of 40 answers are right\. Look at some episodes"):
        ended(tmp_path, engine(), lot=True, tools=2, solve=Group(environment=Village(), samples=8))


def test_killed_while_it_writes_questions_and_while_it_acts_it_ends_the_same(tmp_path: Path) -> None:
    whole = engine()
    made = ended(tmp_path / "whole", whole)
    asks = len(whole.adapters)
    folder = tmp_path / "killed"
    for at in (2, 10, asks // 5, asks // 5):  # of what is left each time: it writes, chooses tools, acts
        with pytest.raises(StoreError, match="pulled the plug"):
            ended(folder, engine(at))
    last = engine()
    assert ended(folder, last) == made
    assert last.adapters
    assert set(last.adapters) - {None} == set(made.adapters.values())
    digests = []
    for name in ("killed", "whole"):
        with closing(Ledger.read(tmp_path / name / "ledger.db")) as ledger:
            digests.append(ledger.content_digest())
    assert digests[0] == digests[1]
