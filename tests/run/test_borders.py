"""What a call does beyond asking models is done once, and said again when the run is resumed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from instar.borders import crossing
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import CannotContinue, StepFailed, StoreError
from instar.protocols import Models, Solve
from instar.records import Message, Role, Sampling, Solution, Task, Turn
from instar.records.exchange import ask_key
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import of_call
from instar.store.verify import verify
from tests.acquire.asked import Told
from tests.run.test_run import run_in, solve, task

SHORT = Sampling(max_tokens=8)


class Clock(Solve):
    """Asks what to do, looks at the clock, and asks again with the time in the prompt."""

    name: ClassVar[str] = "clock"
    looked: ClassVar[int] = 0
    breaks: ClassVar[str] = ""
    zone: ClassVar[str] = "utc"
    again: ClassVar[bool] = True
    recalls: ClassVar[int] = 0

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        await model.ask(task.messages, n=1, sampling=SHORT)
        for i in range(Clock.recalls):
            await crossing(model, "recall", i, self._nothing)
        now = await crossing(model, "tool", {"tool": "clock", "zone": Clock.zone}, self._look, again=Clock.again)
        if Clock.breaks == "after":
            raise StoreError("pulled the plug")
        shown = Message(role=Role.user, content=f"It is {now}. {task.question}")
        (reply,) = await model.ask([shown], n=1, sampling=SHORT)
        return [
            Solution(task=task.id, turns=(Turn(text=reply.text),), policy=reply.policy, engine=reply.engine,
                     precision=reply.precision, sampling=SHORT, finish=reply.finish)
        ]  # fmt: skip

    async def _look(self) -> int:
        Clock.looked += 1
        if Clock.breaks == "inside":
            raise StoreError("pulled the plug")
        return time.time_ns()

    async def _nothing(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"looked": 0, "breaks": "", "zone": "utc", "again": True, "recalls": 0}.items():
        monkeypatch.setattr(Clock, name, value)


def broken(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(folder, ScriptedEngine())
    monkeypatch.setattr(Clock, "breaks", where)
    with pytest.raises(StoreError, match="pulled the plug"):
        solve(run, Clock(), [task(1)])
    run.ledger.close()
    monkeypatch.setattr(Clock, "breaks", "")


def prompts(folder: Path) -> list[str]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (call,) = [row["key"] for row in ledger.rows("calls")]
        return [e.messages[-1].content for e in of_call(ledger, call) if e.messages]


def wrong(folder: Path) -> list[str]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return [w for w in verify(ledger) if "which is not there" not in w]  # its tasks were never stored


def test_killed_between_a_tools_result_and_the_next_ask_the_tool_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, "after", monkeypatch)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        (said,) = raw.execute("select said from borders").fetchone()
    again = run_in(tmp_path, ScriptedEngine())
    solve(again, Clock(), [task(1)])
    assert Clock.looked == 1
    assert prompts(tmp_path)[1].startswith(f"It is {said}.")
    assert (again.generate_context.replayed, again.generate_context.asked) == (1, 1)
    assert wrong(tmp_path) == []


def test_a_tool_that_was_stopped_half_way_is_used_again_unless_it_has_effects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, "inside", monkeypatch)
    solve(run_in(tmp_path, ScriptedEngine()), Clock(), [task(1)])
    assert Clock.looked == 2
    monkeypatch.setattr(Clock, "again", False)
    (tmp_path / "other").mkdir()
    broken(tmp_path / "other", "inside", monkeypatch)
    run = run_in(tmp_path / "other", ScriptedEngine())
    with pytest.raises(StepFailed, match="not known to have ended"):
        solve(run, Clock(), [task(1)])
    run.ledger.close()
    assert Clock.looked == 3


def test_another_crossing_than_the_journalled_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "after", monkeypatch)
    monkeypatch.setattr(Clock, "zone", "cet")
    run = run_in(tmp_path, ScriptedEngine())
    with pytest.raises(CannotContinue, match="tool 0 of call"):
        solve(run, Clock(), [task(1)])
    run.ledger.close()


def test_one_kind_of_crossing_shifts_no_other_and_no_asks_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for recalls in (0, 3):
        folder = tmp_path / str(recalls)
        folder.mkdir()
        monkeypatch.setattr(Clock, "recalls", recalls)
        solve(run_in(folder, ScriptedEngine()), Clock(), [task(1)])
        with closing(sqlite3.connect(folder / "ledger.db")) as raw:
            asks = raw.execute("select key, call, turn, seed from journal order by turn").fetchall()
            tool = raw.execute("select key from borders where kind = 'tool'").fetchall()
        assert [key for key, *_ in asks] == [ask_key(call, turn) for _, call, turn, _ in asks]
        keys.append((asks, tool))
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "change",
    [
        "said = said + 1",
        "asked = '{}'",
        "kind = 'recall'",
        "n = 1",
        "said = null",
        "call = 'i1:other'",
        "step = 'x'",
        "branch = 'x'",
    ],
)
def test_a_crossing_that_was_changed_is_noticed(tmp_path: Path, change: str) -> None:
    solve(run_in(tmp_path, ScriptedEngine()), Clock(), [task(1)])
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        before = ledger.content_digest()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute(f"update borders set {change}")
    assert any("its digest" in w for w in wrong(tmp_path))
    if change.startswith(("said", "asked")):
        with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
            assert ledger.content_digest() != before


def test_outside_a_run_the_work_is_just_done() -> None:
    async def work() -> str:
        return "done"

    assert asyncio.run(crossing(Told(lambda said: said), "tool", "x", work)) == "done"
