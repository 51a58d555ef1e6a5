"""Self-consistency on the scripted model: it improves by votes, and no gold answer has a part in what it trains on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.acquire.feedback import pool
from instar.engines.scripted.engine import ScriptedEngine
from instar.recipes.self_consistency import SelfConsistency, self_consistency
from instar.records import Feedback, Mark, Message, Role, Task
from instar.run.progress import Screen
from instar.run.run import Sets
from instar.store.ledger import Ledger
from instar.update.weights.sft import SFT
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run
from tests.run.test_run import run_in

SETS = ("rounds=1", "sizes.train=50", "sizes.gate=60", "sizes.sealed=40", "train.epochs=6")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="self_consistency")


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert undisturbed["rounds"][0]["gate"]["promoted"]


def test_it_fails_to_improve_when_its_filter_is_inverted(runs: Path) -> None:
    inverted = run(runs, "inverted", *SETS, 'right={op="not", inner="margin_at_least"}', recipe="self_consistency")
    assert inverted["sealed"]["gain"] <= 0
    assert not inverted["rounds"][0]["gate"]["promoted"]


def test_the_policy_is_made_from_votes_and_the_audit_is_beside_it(runs: Path, undisturbed: dict) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    feedback = {f.id: f for f in ledger.records("feedback") if isinstance(f, Feedback)}
    lineage = ledger.ancestors(undisturbed["final"])
    assert {f.source for i, f in feedback.items() if i in lineage} == {"vote"}
    votes = [f for i, f in feedback.items() if i in lineage]
    train = {s.id for s in ledger.records("solution") if getattr(s, "task", "") in set(ledger.sets()["train"])}
    audits = {f.solution: f for f in feedback.values() if f.source == "verifier" and f.solution in train}
    assert {f.solution for f in votes} <= set(audits)
    assert all(f.evidence["margin"] >= 0.2 for f in votes)
    ledger.close()


@pytest.mark.slow
def test_adaptive_sampling_asks_less_and_says_so(runs: Path, undisturbed: dict) -> None:
    adaptive = 'attempt={op="adaptive", judge="vote", batch=4, most=16, stop_when_decided=true}'
    found = run(runs, "adaptive", *SETS, adaptive, recipe="self_consistency")
    assert found["sealed"]["gain"] > 0
    assert found["rounds"][0]["solutions"] < undisturbed["rounds"][0]["solutions"]


def test_a_judge_that_sees_gold_answers_is_refused_before_anything_runs(runs: Path) -> None:
    verified = run(runs, "gold", *SETS, 'judge="verify"', recipe="self_consistency", check=False)
    assert verified["code"] == 2
    assert "vote" in verified["error"]
    hidden = 'attempt={op="adaptive", stop_after_right=2}'
    refused = run(runs, "gold", *SETS, hidden, recipe="self_consistency", check=False)
    assert refused["code"] == 2
    assert "no gold answer may be used here" in refused["error"]


# --- gold answers that lie, or are not there --------------------------------------------------------------------------


def tasks_of(name: str, n: int, gold: Callable[[int], str | None]) -> tuple[Task, ...]:
    """Additions with these gold answers; ids and questions do not depend on them."""
    made = []
    for i in range(n):
        a, b = (7 * i) % 50 + 2, (11 * i) % 60 + 3
        answer = gold(a + b)
        private = {"answer": answer} if answer is not None else {}
        made.append(
            Task(
                id=f"i1:{name}{i}",
                messages=(Message(role=Role.user, content=f"Calculate {a} + {b}."),),
                ability="add",
                canonical=f"{name}{i}",
                source="test",
                private=private,
            )
        )
    return tuple(made)


class Notes(Screen):
    """A silent screen that keeps what is said."""

    def __init__(self) -> None:
        super().__init__("silent")
        self.said: list[str] = []

    def line(self, text: str) -> None:
        self.said.append(text)


def trained_with(folder: Path, gold: Callable[[int], str | None]) -> tuple[str, list[str], set[str]]:
    """Final policy, notes, and the sources of feedback in its lineage, when the *training* tasks have these answers."""
    folder.mkdir()
    run = run_in(folder, ScriptedEngine())
    run.tasks = Sets(tasks_of("train", 24, gold), (), tasks_of("gate", 40, str), ())
    run.screen = notes = Notes()
    try:
        final = asyncio.run(self_consistency(run, SelfConsistency(train=SFT(epochs=10))))
        assert final.id != run.base.id
        lineage = run.ledger.ancestors(final.id)
        said = [f for f in run.ledger.records("feedback") if isinstance(f, Feedback) and f.id in lineage]
        assert all(f.mark is Mark.right for f in said)
        return final.id, notes.said, {f.source for f in said}
    finally:
        run.ledger.close()


def test_wrong_and_absent_gold_answers_train_the_same_policy_and_only_the_audit_notices(tmp_path: Path) -> None:
    true = trained_with(tmp_path / "true", str)
    wrong = trained_with(tmp_path / "wrong", lambda truth: str(truth + 1000))
    absent = trained_with(tmp_path / "absent", lambda truth: None)
    pool.shared().close()
    assert true[0] == wrong[0] == absent[0]
    assert true[2] == wrong[2] == absent[2] == {"vote"}
    labels = [next(s for s in said if "label accuracy" in s) for _, said, _ in (true, wrong, absent)]
    assert ": 100.0% (" in labels[0]
    assert ": 0.0% (0 of " in labels[1]
    assert "not known" in labels[2]


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, "self_consistency", SETS, undisturbed, at=(100, 810))
