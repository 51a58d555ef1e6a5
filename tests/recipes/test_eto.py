"""ETO, arXiv 2403.02502: ``dpo`` on trajectories, from a policy cloned on the successes, each preferred to a failure of
the same task. What the environment said is in no loss."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from instar.records import Mark, Preference, TurnKind
from instar.store.ledger import Ledger
from instar.store.roles import roles_of
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import run

TWICE = f"{Path(__file__).parent / 'twice.py'}:Twice"
PLAYED = f'{{op = "play", environment = "{TWICE}", samples = 6}}'
OUTCOME = f'{{op = "outcome", environment = "{TWICE}"}}'
SETS = (
    "start=rest_em", "rounds=2", f"tasks={TWICE}", f"solve={PLAYED}", f"judge={OUTCOME}",
    f"exam.solve={PLAYED.replace('6', '1')}", f"exam.judge={OUTCOME}", "verifier_stress=off",
    "sizes.train=16", "sizes.gate=20", "sizes.sealed=12", "sizes.dev=0", "keep_going=true",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return run(runs, "undisturbed", *SETS, recipe="dpo")


def test_a_success_is_preferred_to_a_failure_of_the_same_task_and_no_observation_is_learned(
    runs: Path, undisturbed: dict
) -> None:
    assert undisturbed["status"] == "finished"
    with closing(Ledger.read(runs / "undisturbed" / "ledger.db")) as ledger:
        pairs = [p for p in ledger.records("preference") if isinstance(p, Preference)]
        solutions = {s.id: s for s in ledger.records("solution")}
        marks = {f.solution: f.mark for f in ledger.records("feedback")}
        updates = roles_of(ledger).updates.values()
    assert len(pairs) > 8
    for pair in pairs:
        assert (marks[pair.chosen], marks[pair.rejected]) == (Mark.right, Mark.wrong)
        assert solutions[pair.chosen].task == solutions[pair.rejected].task
    learned = {id for u in updates for id in (*u.solutions, *u.away)}
    assert learned >= {p.rejected for p in pairs}
    for id in learned:
        turns = solutions[id].turns  # said, seen, said, seen
        assert [t.train for t in turns] == [True, False, True, False]
        assert [t.kind is TurnKind.tool_result for t in turns] == [False, True, False, True]


def test_a_killed_run_ends_as_if_nothing_was(runs: Path, undisturbed: dict) -> None:
    ends_the_same_when_killed(runs, "dpo", SETS, undisturbed, at=(40,))
