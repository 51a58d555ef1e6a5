"""AMIE without weights: doctor and patient grow better over two rounds, every role is on record, no answer leaks, and a
kill at any place changes nothing."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from instar.acquire.environments.clinic_cases import ILLNESSES
from instar.acquire.feedback.pairwise import Pairwise
from instar.errors import ConfigError, StoreError
from instar.recipes.amie import amie, as_the_patient, course
from instar.records import (
    Decision,
    Experience,
    Feedback,
    Message,
    Policy,
    Reply,
    Sampling,
    Solution,
    Task,
    TurnKind,
)
from instar.refine.corrections.reconsult import REFINED
from instar.refine.corrections.some_turns import OTHER_SIDE
from instar.run.run import Run, Sets
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchanges
from instar.store.verify import verify
from tests.recipes.clinic import BY_MODELS, WANTED, ClinicEngine, opened, settings, work
from tests.run.test_run import task


class Played(NamedTuple):
    folder: Path
    policy: Policy
    engine: ClinicEngine
    run: Run


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder, engine = tmp_path_factory.mktemp("amie") / "undisturbed", ClinicEngine()
    policy, run = work(folder, engine, BY_MODELS)
    return Played(folder, policy, engine, run)


@pytest.fixture(scope="module")
def ledger(played: Played) -> Iterator[Ledger]:
    ledger = Ledger.read(played.folder / "ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def solutions(ledger: Ledger) -> list[Solution]:
    return [cast(Solution, s) for s in ledger.records("solution")]


def test_doctor_and_patient_are_better_after_two_rounds_and_the_ledger_is_whole(played: Played, ledger: Ledger) -> None:
    skills = dict(played.policy.weights.skills or {})
    assert skills["doctor"] > 0.6
    assert skills["patient"] > 0.8
    assert [w for w in verify(ledger) if "which is not there" not in w and "operator" not in w] == []


class MakesTalk(ClinicEngine):
    """Its doctor learns nothing."""

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        skills = {**(policy.weights.skills or {}), "doctor": 0.0}
        dull = policy.model_copy(update={"weights": policy.weights.model_copy(update={"skills": skills})})
        return await super().ask(dull, messages, n=n, sampling=sampling, seed=seed, precision=precision)


def test_a_round_in_which_no_consultation_is_right_goes_on_with_the_static_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WANTED, "train", 80)
    policy, run = work(tmp_path, MakesTalk(), settings())
    ledger = Ledger.read(tmp_path / "ledger.db")
    decided = [cast(Decision, d) for d in ledger.records("decision")]
    ledger.close()
    decided = [d for d in decided if d.item.startswith("round ")]
    assert [(d.item, d.kept) for d in decided] == [("round 2", True)]
    assert "were not over in their turns: more turns" in decided[0].reason
    assert decided[0].reason.endswith("It goes on with what earlier rounds had.")
    assert policy.id != run.base.id


def test_each_dialogue_says_who_spoke_in_which_role(ledger: Ledger, solutions: list[Solution]) -> None:
    said = [(t.kind, t.said.exchange) for s in solutions for t in s.turns if t.said is not None]
    asked = exchanges(ledger, list(dict.fromkeys(id for _, id in said)))
    roles = Counter((kind.value, asked[id].role) for kind, id in said)
    assert set(roles) == {("assistant", "self"), ("partner", "patient")}  # the critic's words were changed
    critiques = [t for s in solutions if REFINED in s.flags for t in s.turns if t.kind is TurnKind.critique]
    assert critiques
    assert all("the illness" in t.text and not t.train for t in critiques)


def test_a_refined_dialogue_has_two_comments_and_what_is_learned_of_it_has_none(solutions: list[Solution]) -> None:
    refined = [s for s in solutions if REFINED in s.flags]
    whole = [s for s in refined if any(t.kind is TurnKind.critique for t in s.turns)]
    assert {sum(t.kind is TurnKind.critique for t in s.turns) for s in whole} == {2}
    learned = [s for s in refined if s not in whole]
    assert learned
    assert {t.kind for s in learned for t in s.turns} == {TurnKind.assistant, TurnKind.partner}


def test_at_most_three_turns_of_each_role_are_learned_of_a_dialogue_and_none_that_is_untrue(
    ledger: Ledger, solutions: list[Solution]
) -> None:
    tasks = {t.id: cast(Task, t) for t in ledger.records("task")}
    picked = [s for s in solutions if s.task in tasks and all(t.said is None for t in s.turns) and s.engine != "none"]
    other = [s for s in picked if OTHER_SIDE in s.flags]
    assert other
    assert max(sum(t.train for t in s.turns) for s in picked) == 3
    assert {tasks[s.task].private["role"] for s in other} == {"patient"}
    for s in other:
        for asked, answer in zip(s.turns[::2], s.turns[1::2], strict=False):
            named = [x for x in tasks[s.task].private["symptoms"] if x in asked.text]
            assert not answer.train or answer.text not in ("Yes.", "No.") or (answer.text == "Yes.") == bool(named)


def test_the_first_round_learns_static_dialogues_alone(
    played: Played, ledger: Ledger, solutions: list[Solution]
) -> None:
    made = [cast(Policy, p) for p in ledger.records("policy")]
    (first,) = [p for p in made if p.id not in (played.policy.id, played.run.base.id)]
    inside = ledger.ancestors(first.id)
    assert {"static" in s.flags for s in solutions if s.id in inside} == {True}
    last = ledger.ancestors(played.policy.id)
    flags = Counter(REFINED in s.flags for s in solutions if s.id in last)
    assert flags[True]
    assert flags[False]


def test_no_role_is_shown_the_illness_but_the_critic(played: Played) -> None:
    """All that a doctor is shown after the worked example, and all that a patient is, names no illness that a doctor
    did not name before; and the critic's words, which always give it away, reach nobody."""
    leaks = 0
    for shown in played.engine.shown:
        first = shown[0].content
        if first.startswith("You play a doctor"):
            last = max(i for i, m in enumerate(shown) if "Hello, I am" in m.content)
            own = [m.content for m in shown[last:] if m.role.value == "assistant"]
            lines = [x for m in shown[last:] for x in m.content.splitlines() if not x.startswith("Doctor:")]
            heard = [x for x in lines if x not in own]
            leaks += any(re.search(illness, x, re.IGNORECASE) for x in heard for illness in ILLNESSES)
        elif first.startswith("You play a patient"):
            leaks += any(illness in first for illness in ILLNESSES)
    assert leaks == 0
    assert any("A critic says: It is the illness" in m.content for shown in played.engine.shown for m in shown)


def test_a_kill_between_two_questions_ends_in_the_same_ledger(played: Played, tmp_path: Path) -> None:
    folder, breaks = tmp_path / "killed", played.engine.asks // 2
    with pytest.raises(StoreError, match="pulled the plug"):
        work(folder, ClinicEngine(breaks=breaks), BY_MODELS)
    again = ClinicEngine()
    policy, _ = work(folder, again, BY_MODELS)
    assert policy.id == played.policy.id
    assert again.asks <= played.engine.asks - breaks + 64  # what was in flight
    assert digest(folder) == digest(played.folder)


def digest(folder: Path) -> str:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return ledger.content_digest()
    finally:
        ledger.close()


@pytest.mark.slow
def test_killed_by_the_system_in_the_middle_of_a_dialogue_it_ends_the_same(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    for dialogues in (30, 70):
        process = subprocess.Popen([sys.executable, "-m", "tests.recipes.clinic", str(folder), "0.02"])
        while process.poll() is None and solved(folder) < dialogues:
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    policy, _ = work(folder, ClinicEngine(), BY_MODELS)
    assert policy.id == played.policy.id
    assert digest(folder) == digest(played.folder)


def solved(folder: Path) -> int:
    try:
        ledger = Ledger.read(folder / "ledger.db")
    except StoreError:
        return 0
    try:
        return len(ledger.records("solution"))
    finally:
        ledger.close()


def test_without_a_patients_side_the_patient_does_not_learn(
    played: Played, solutions: list[Solution], ledger: Ledger
) -> None:
    tasks = [cast(Task, t) for t in ledger.records("task")]
    doctors = [t for t in tasks if t.private["role"] == "doctor"]
    said = next(s for s in solutions if s.task == doctors[0].id)
    judged = [Experience(task=doctors[0], solution=said)]
    (turned,) = as_the_patient(judged, tasks)
    assert turned.task.private["role"] == "patient"
    assert as_the_patient(judged, doctors) == []


def test_what_consultations_came_to_is_said_in_words(ledger: Ledger, solutions: list[Solution]) -> None:
    assert course([]) == "none"
    said = [cast(Feedback, f) for f in ledger.records("feedback")]
    by_id = {s.id: s for s in solutions}
    task = cast(Task, next(iter(ledger.records("task"))))
    judged = [Experience(task=task, solution=by_id[f.solution], feedback=f) for f in said[:20]]
    assert re.fullmatch(r"\d+ of 20 right, [\d.]+% among three, [\d.]+ questions, [\d.]+% covered", course(judged))


def test_base_and_result_are_compared_by_a_judge_in_both_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Run, "note", lambda run, text: said.append(text))
    engine = ClinicEngine()
    work(tmp_path / "compared", engine, settings(rounds=1, quality=Pairwise(opponents=1, reference=False)))
    found = re.fullmatch(
        r"quality: of 4 consultations beside the base's, (\d) are better, 0 worse, (\d) ties", said[-1]
    )
    assert found is not None
    better, ties = map(int, found.groups())
    assert better + ties == 4
    assert better > 0
    assert sum("Better: A" in shown[-1].content for shown in engine.shown) == 8


def test_other_tasks_are_refused_before_a_token_is_spent(tmp_path: Path) -> None:
    run = opened(tmp_path / "sums", engine := ClinicEngine())
    run.tasks = Sets((task(1), task(2)), (), (), ())
    with pytest.raises(ConfigError, match="no cases to learn from"):
        asyncio.run(amie(run, settings()))
    run.ledger.close()
    assert engine.asks == 0
