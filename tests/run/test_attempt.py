"""The verb attempt: solutions and their feedback from one call, each with its own id, edges and replay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.feedback.vote import Vote
from instar.acquire.solutions.adaptive import Adaptive
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StepFailed, StoreError
from instar.protocols import Attempt, Models
from instar.records import Experience, Mark, Sampling, Task
from instar.store.verify import verify
from tests.run.test_run import run_in, stored, task

SAMPLING = Sampling(temperature=0.8, max_tokens=32)
ADAPTIVE = Adaptive(sampling=SAMPLING, judge=Vote(), batch=2, most=8, stop_when_decided=True)
TASKS = [task(i) for i in range(2, 12)]


class Wrapped(Attempt):
    """Adaptive, with the experiences changed on their way out."""

    name: ClassVar[str] = "test_wrapped"
    breaks: ClassVar[str] = ""

    async def __call__(self, task: Task, models: Models) -> Sequence[Experience]:
        made = list(await ADAPTIVE(task, models))
        first = made[0]
        if self.breaks == "plug":
            raise StoreError("pulled the plug")
        if self.breaks == "task":
            solution = first.solution.model_copy(update={"task": "i1:other"})
            return [first.model_copy(update={"solution": solution})]
        if self.breaks == "feedback":
            return [first.model_copy(update={"feedback": made[1].feedback})]
        if self.breaks == "unjudged":
            return [e.model_copy(update={"feedback": None}) for e in made[:1]] + made[1:]
        if self.breaks == "invalid" and first.feedback:
            said = first.feedback.model_copy(update={"mark": Mark.invalid, "score": None, "comment": "it crashed"})
            return [first.model_copy(update={"feedback": said})]
        return made


def attempt(folder: Path, op: Attempt = ADAPTIVE, engine: ScriptedEngine | None = None) -> list[Experience]:
    run = stored(run_in(folder, engine or ScriptedEngine()), TASKS)
    try:
        return asyncio.run(run.attempt(op, TASKS, run.models(run.base)))
    finally:
        run.ledger.close()


def test_feedback_speaks_of_the_minted_solution_and_the_ledger_is_what_it_says(tmp_path: Path) -> None:
    made = attempt(tmp_path)
    assert [e.task.id for e in made] == sorted([e.task.id for e in made], key=[t.id for t in TASKS].index)
    assert len({e.solution.id for e in made}) == len(made) > 20
    run = run_in(tmp_path, ScriptedEngine())
    outside = [t.id for t in TASKS]  # their ids are not what a session would have given them, and no operator made them
    assert [w for w in verify(run.ledger) if not any(id in w for id in outside)] == []
    for e in made:
        assert e.feedback
        assert e.feedback.solution == e.solution.id
        assert set(run.ledger.parents([e.feedback.id])[e.feedback.id]) == {e.task.id, e.solution.id}
        assert set(run.ledger.parents([e.solution.id])[e.solution.id]) == {e.task.id, run.base.id}
    run.ledger.close()


def test_a_finished_attempt_is_replayed_and_not_asked_again(tmp_path: Path) -> None:
    first = attempt(tmp_path)
    again = run_in(tmp_path, ScriptedEngine())
    assert asyncio.run(again.attempt(ADAPTIVE, TASKS, again.models(again.base))) == first
    assert again.generate_context.asked == 0
    again.ledger.close()


def test_a_kill_inside_an_attempt_asks_no_batch_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    calm = attempt(tmp_path / "calm", Wrapped())
    monkeypatch.setattr(Wrapped, "breaks", "plug")
    with pytest.raises(StoreError, match="pulled the plug"):
        attempt(tmp_path / "killed", Wrapped())
    monkeypatch.setattr(Wrapped, "breaks", "")
    run = run_in(tmp_path / "killed", ScriptedEngine())
    assert asyncio.run(run.attempt(Wrapped(), TASKS, run.models(run.base))) == calm
    assert run.generate_context.replayed > 0
    run.ledger.close()


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        ("task", "answered another: i1:other"),
        ("feedback", "feedback on '1'"),
        ("invalid", "the checker failed on every one of 10 answers; the first time: it crashed"),
    ],
)
def test_an_attempt_that_mixes_things_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str, says: str
) -> None:
    monkeypatch.setattr(Wrapped, "breaks", breaks)
    with pytest.raises(StepFailed, match=says):
        attempt(tmp_path, Wrapped())


def test_a_model_that_says_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="the model returned nothing"):
        attempt(tmp_path, engine=ScriptedEngine(empty=True))


def test_a_solution_without_feedback_stays_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wrapped, "breaks", "unjudged")
    made = attempt(tmp_path, Wrapped())
    bare = [e for e in made if e.feedback is None]
    assert len(bare) == len(TASKS)
    assert all(e.feedback.solution == e.solution.id for e in made if e.feedback)


def test_stopping_when_decided_asks_less_and_names_the_same_majority(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "some").mkdir()
    never = Adaptive(sampling=SAMPLING, judge=Vote(), batch=8, most=8, stop_when_decided=True)
    assert len(attempt(tmp_path / "all", never)) == 8 * len(TASKS)
    assert len(attempt(tmp_path / "some")) <= 8 * len(TASKS)
