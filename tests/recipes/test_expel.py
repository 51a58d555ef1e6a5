"""ExpeL and Reflexion on the scripted model: insights help and other memories do not, reflecting mends what trying
again does not, and a kill in the middle changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from instar.acquire.feedback import pool
from instar.app.configs.by_name import started
from instar.app.configs.config import plan
from instar.app.sessions.session import execute
from instar.app.storage.paths import artefacts
from instar.memory import kept
from instar.memory.value import Memory
from instar.records import Decision, Feedback, Mark, NoteKind, Policy, Solution, Task, TurnKind
from instar.report import page
from instar.report.facts import facts
from instar.report.summary import summary
from instar.report.why import why
from instar.run.progress import Screen
from instar.store.ledger import Ledger
from instar.store.verify import verify
from tests.run.killer import Killed, Killer

SETS = {
    "expel": ("sizes.train=24", "sizes.gate=80", "sizes.sealed=60", "remember.embedder=words",
              "insights.embedder=words", "insights.group=4"),
    "reflexion": ("sizes.train=20", "sizes.gate=30", "sizes.sealed=40", "remember.embedder=words"),
}  # fmt: skip
COMMON = ("model=scripted", "audit_with=none", "verifier_stress=off")


class Ended(NamedTuple):
    """A run that is over."""

    folder: Path
    found: dict[str, Any]

    def ledger(self) -> Ledger:
        return Ledger.read(self.folder / "ledger.db")

    def memory(self, policy: str) -> Memory:
        ledger = self.ledger()
        (found,) = [cast(Policy, p) for p in ledger.records("policy", [policy])]
        ledger.close()
        return kept.read(artefacts(), found.memory or "")


def run(folder: Path, recipe: str, *sets: str) -> Ended:
    folder.mkdir(parents=True, exist_ok=True)
    execute(plan(started(recipe, [*COMMON, *SETS[recipe], *sets])), folder, Screen("silent"))
    return Ended(folder, summary(folder))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("expel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTAR_RUNS", str(home / "runs"))
        patch.setenv("INSTAR_HOME", str(home / "home"))
        yield home / "runs"
    pool.shared().close()


@pytest.fixture(scope="module")
def expel(runs: Path) -> Ended:
    return run(runs / "expel", "expel")


@pytest.fixture(scope="module")
def reflexion(runs: Path) -> Ended:
    return run(runs / "reflexion", "reflexion")


def test_insights_help_on_tasks_it_never_saw_and_no_other_memory_does(expel: Ended) -> None:
    sealed = expel.found["sealed"]
    assert sealed["low"] > 0
    assert {"examples", "random", "wrong"} == set(sealed["controls"])
    assert all(c["low"] > 0 for c in sealed["controls"].values())  # what it gains on each of them
    ledger = expel.ledger()
    assert len({cast(Policy, p).weights.digest for p in ledger.records("policy")}) == 1
    assert verify(ledger) == []
    ledger.close()


def test_each_insight_says_what_it_was_drawn_from_and_what_could_not_be_read_is_counted(expel: Ended) -> None:
    notes = list(expel.memory(expel.found["final"]).live())
    insights = [n for n in notes if n.what is NoteKind.insight]
    assert insights
    ledger = expel.ledger()
    solutions = {s.id: cast(Solution, s) for s in ledger.records("solution")}
    marks = {cast(Feedback, f).solution: cast(Feedback, f).mark for f in ledger.records("feedback")}
    tasks = {t.id: cast(Task, t) for t in ledger.records("task")}
    for note in insights:
        assert note.made_from
        assert {solutions[id].task for id in note.made_from} <= tasks.keys()
    examples = [n for n in notes if n.what is NoteKind.demonstration]
    assert all(marks[n.made_from[1]] is Mark.right for n in examples)
    reasons = {cast(Decision, d).reason for d in ledger.records("decision")}
    assert "no insight: the line is no operation" in reasons
    ledger.close()


def test_what_was_recalled_is_stamped_on_the_answer(expel: Ended) -> None:
    memory = expel.memory(expel.found["final"])
    ledger = expel.ledger()
    solutions = (cast(Solution, s) for s in ledger.records("solution"))
    answered = [s for s in solutions if s.policy == expel.found["final"]]
    ledger.close()
    assert answered
    for s in answered:
        kinds = [memory.notes[id].what for id in s.memories]
        assert kinds.count(NoteKind.demonstration) == 1
        assert kinds.count(NoteKind.insight) >= 1


def test_what_became_of_the_memory_is_shown_round_by_round_and_what_was_recalled_with_an_answer(expel: Ended) -> None:
    remembered, drawn = expel.found["rounds"][0]["memory"]
    assert (remembered["op"], drawn["op"]) == ("remember", "insights")
    holds = drawn["figures"]["holds: insight"]
    assert remembered["figures"]["added"] == remembered["figures"]["holds: demonstration"] > 0
    assert drawn["words"].startswith(f"{drawn['figures']['added']:g} added")
    assert f"insight {holds:g}" in drawn["words"]
    shown = page.report(facts(expel.folder))
    assert "<h4>Memory</h4>" in shown
    row = next(r for r in facts(expel.folder)["exam"]["rows"] if r["after"]["memories"])
    assert row["before"]["memories"] == []
    told = " ".join(why(expel.folder, row["after"]["solution"])["sentences"])
    assert f"recalled from its policy's memory: {row['after']['memories'][0]}" in told


def test_reflecting_mends_what_trying_again_does_not(reflexion: Ended) -> None:
    found = reflexion.found["sealed"]["procedures"]
    assert found["reflexion"]["gain"]["low"] > 0
    assert found["reflexion"]["procedure"]["score"] > found["retry"]["procedure"]["score"]
    assert found["reflexion"]["procedure"]["tokens"] > found["retry"]["plain"]["tokens"]


def test_no_draft_and_no_reflection_may_be_trained_on_and_the_trials_are_bounded(reflexion: Ended) -> None:
    ledger = reflexion.ledger()
    tried = [cast(Solution, s) for s in ledger.records("solution") if len(cast(Solution, s).turns) > 1]
    assert verify(ledger) == []
    ledger.close()
    assert tried
    for s in tried:
        *asides, answer = s.turns
        assert {t.kind for t in asides} <= {TurnKind.draft, TurnKind.critique}
        assert [t.train for t in s.turns] == [*(False for _ in asides), True]
        assert sum(t.kind is TurnKind.draft for t in asides) <= 3
        assert answer.kind is TurnKind.assistant


def test_with_weights_it_learns_from_what_reflecting_led_to(runs: Path) -> None:
    found = run(runs / "weights", "reflexion", "learn=weights", "train.epochs=8", "sizes.gate=60").found
    assert found["rounds"][0]["gate"]["promoted"]
    assert found["sealed"]["gain"] > 0


@pytest.mark.parametrize("recipe", ["expel", "reflexion"])
def test_killed_in_the_middle_and_resumed_it_ends_the_same(
    runs: Path, recipe: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: Ended = request.getfixturevalue(recipe)
    killer = Killer(monkeypatch)
    killer.passed, killer.at = 0, 450
    with pytest.raises(Killed):
        run(runs / f"killed-{recipe}", recipe)
    killer.at = None
    resumed = run(runs / f"killed-{recipe}", recipe)
    assert resumed.found["final"] == whole.found["final"]
    ledgers = whole.ledger(), resumed.ledger()
    assert ledgers[0].content_digest() == ledgers[1].content_digest()
    assert len(ledgers[1].rows("sessions")) == 2
    for ledger in ledgers:
        ledger.close()
