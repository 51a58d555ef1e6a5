"""Samples of one call go on side by side: with the same keys in whatever order they end, and after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.acquire.solutions import act
from instar.acquire.solutions.act import UseTools
from instar.borders import crossing, side_by_side
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import Cancelled, StepFailed, StoreError
from instar.protocols import Models, Solve
from instar.records import Message, Reply, Role, Sampling, Solution, Task, Turn
from instar.records.exchange import ask_key, border_key, seed_of
from instar.store import schema
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import of_call
from instar.store.verify import verify
from tests.acquire.asked import Told
from tests.run.test_run import run_in, solve, task

SHORT = Sampling(max_tokens=8)


class Races(Solve):
    """Two samples: each looks at the clock, says what it saw, looks again, and answers."""

    name: ClassVar[str] = "races"
    last: ClassVar[int | None] = None
    """The way that waits until the other has looked twice."""
    log: ClassVar[Path] = Path()
    clock: ClassVar[Callable[[int], int]] = staticmethod(lambda way: 100 + way)
    asks_at_the_end: ClassVar[int] = 0

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        first = await models["self"].ask(task.messages, n=2, sampling=SHORT)
        made = await side_by_side(models, [partial(self._goes, task, way) for way in range(len(first))])
        for _ in range(Races.asks_at_the_end):
            await models["self"].ask(task.messages, n=1, sampling=SHORT)
        return made

    async def _goes(self, task: Task, way: int, models: Models) -> Solution:
        shown = list(task.messages)
        for look in range(2):
            while way == Races.last and Races.log.read_text().split().count(f"{1 - way}.1") == 0:
                await asyncio.sleep(0.001)
            now = await crossing(models["self"], "tool", {"tool": "clock"}, partial(self._look, way, look))
            shown.append(Message(role=Role.user, content=f"It is {now} for {way}."))
            (reply,) = await models["self"].ask(shown, n=1, sampling=SHORT)
        return Solution(task=task.id, turns=(Turn(text=reply.text),), policy=reply.policy, engine=reply.engine,
                        precision=reply.precision, sampling=SHORT, finish=reply.finish)  # fmt: skip

    async def _look(self, way: int, look: int) -> int:
        with Races.log.open("a") as f:
            f.write(f"{way}.{look}\n")
        return Races.clock(way)


class Killed(ScriptedEngine):
    """Kills its process when it is asked for the ``at``-th time."""

    at: ClassVar[int] = 0
    asked: ClassVar[int] = 0

    async def ask(self, *a: Any, **k: Any) -> list[Reply]:
        Killed.asked += 1
        if Killed.asked == Killed.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().ask(*a, **k)


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Races, "log", tmp_path / "log")
    for name, value in {
        "last": None,
        "clock": staticmethod(lambda way: 100 + way),
        "asks_at_the_end": 0,
    }.items():
        monkeypatch.setattr(Races, name, value)


def made_in(folder: Path, op: Solve | None = None) -> str:
    """The content of the ledger of a run of ``Races`` in this folder, which it makes or goes on with."""
    folder.mkdir(exist_ok=True)
    solve(run_in(folder, ScriptedEngine()), op or Races(), [task(1)])
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert [w for w in verify(ledger) if "which is not there" not in w] == []  # its tasks were never stored
        return ledger.content_digest()


def rows(folder: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw:
        return raw.execute(f"select {columns} from {table} order by key").fetchall()


def in_a_child(work: Callable[[], Any]) -> int:
    """What a process that does this ended of: the number of a signal, or 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: the child needs none of them
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_in_whatever_order_the_ways_end_keys_seeds_and_content_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, last in (("a", 1), ("b", 0)):
        Races.log.write_text("")
        monkeypatch.setattr(Races, "last", last)
        content = made_in(tmp_path / name)
        found.append((content, rows(tmp_path / name, "journal", "key, call, turn, branch, seed, replies"),
                      rows(tmp_path / name, "borders", "key, call, kind, n, branch, asked, said")))  # fmt: skip
        order = [line.split(".")[0] for line in Races.log.read_text().splitlines()]
        assert order == (["0", "0", "1", "1"] if name == "a" else ["1", "1", "0", "0"])
    assert found[0] == found[1]
    _, asks, crossings = found[0]
    assert sorted((turn, branch or "") for _, _, turn, branch, *_ in asks) == [
        (0, ""), (0, "0"), (0, "1"), (1, "0"), (1, "1"),
    ]  # fmt: skip
    for key, call, turn, branch, seed, _ in asks:
        assert (key, seed) == (ask_key(call, turn, "self", branch or ""), seed_of(key))
    assert all(key == border_key(call, kind, n, branch) for key, call, kind, n, branch, *_ in crossings)
    with closing(Ledger.read(tmp_path / "a" / "ledger.db")) as ledger:
        assert {e.branch for e in of_call(ledger, asks[0][1])} == {None, "0", "1"}


@pytest.mark.parametrize("at", [3, 5])
def test_killed_with_two_ways_in_flight_it_comes_to_the_same_ledger_and_no_tool_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = made_in(tmp_path / "whole")
    Races.log.unlink()
    monkeypatch.setattr(Killed, "at", at)
    (folder := tmp_path / "killed").mkdir()
    assert in_a_child(lambda: solve(run_in(folder, Killed()), Races(), [task(1)])) == signal.SIGKILL
    assert len(Races.log.read_text().splitlines()) == at - 1  # at its 3rd ask both ways had looked once
    assert made_in(folder) == whole
    assert sorted(Races.log.read_text().split()) == ["0.0", "0.1", "1.0", "1.1"]


def test_a_tool_that_tells_the_time_says_after_a_kill_what_it_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Races, "clock", staticmethod(lambda _: time.time_ns()))
    monkeypatch.setattr(Killed, "at", 3)
    in_a_child(lambda: solve(run_in(tmp_path, Killed()), Races(), [task(1)]))
    before = rows(tmp_path, "borders", "key, said")
    assert len(before) == 2
    made_in(tmp_path)
    assert set(before) < set(rows(tmp_path, "borders", "key, said"))
    shown = str(rows(tmp_path, "(select digest as key, content from messages)", "content"))
    assert all(f"It is {said} for" in shown for _, said in before)


async def in_turn(models: Models, ways: Sequence[Callable[[Models], Awaitable[Any]]]) -> list[Any]:
    """As it was before there were branches."""
    return [await way(models) for way in ways]


class Asks(ScriptedEngine):
    """Asks for a sum, then answers; the plug may be pulled at its ``breaks``-th ask."""

    breaks: ClassVar[int] = 0
    asked: ClassVar[int] = 0

    async def ask(self, policy: Any, messages: Any, **more: Any) -> list[Reply]:
        Asks.asked += 1
        if Asks.asked == Asks.breaks:
            raise StoreError("pulled the plug")
        text = "Answer: 2" if len(messages) > 1 else "calculator[1 + 1]"
        return [r.model_copy(update={"text": text}) for r in await super().ask(policy, messages, **more)]


def test_a_call_that_was_begun_in_turn_is_ended_in_turn_with_its_old_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, counted = UseTools(samples=3, tell=False, tools=("calculator",)), []

    async def use(tool: str, given: str, **_: Any) -> str:
        counted.append(given)
        return "2"

    monkeypatch.setattr(act, "use", use)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    with monkeypatch.context() as old:
        old.setattr(act, "side_by_side", in_turn)
        solve(run_in(tmp_path / "whole", Asks()), op, [task(1)])
        monkeypatch.setattr(Asks, "asked", 0)
        old.setattr(Asks, "breaks", 3)
        run = run_in(tmp_path / "broken", Asks())
        with pytest.raises(StoreError, match="pulled the plug"):
            solve(run, op, [task(1)])
        run.ledger.close()
    assert len(rows(tmp_path / "broken", "borders", "key")) == 2
    solve(run_in(tmp_path / "broken", Asks()), op, [task(1)])
    for table in ("journal", "borders"):
        found = rows(tmp_path / "broken", table, "key, branch")
        assert found == rows(tmp_path / "whole", table, "key, branch")
        assert {branch for _, branch in found} == {None}
    assert len(counted) == 6  # three each, of which none twice


def test_what_a_call_asks_after_its_ways_joined_does_not_make_it_one_that_was_begun_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Races, "asks_at_the_end", 2)
    whole = made_in(tmp_path / "whole")
    monkeypatch.setattr(Killed, "at", 7)  # between the two at the end
    (folder := tmp_path / "killed").mkdir()
    in_a_child(lambda: solve(run_in(folder, Killed()), Races(), [task(1)]))
    assert made_in(folder) == whole


class Fails(Solve):
    """Three ways, of which the last two fail, the last one first."""

    name: ClassVar[str] = "fails"
    stops: ClassVar[bool] = False
    ended: ClassVar[list[int]] = []

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        await side_by_side(models, [partial(self._goes, way) for way in (0, 1, 2)])
        return []

    async def _goes(self, way: int, models: Models) -> None:
        await asyncio.sleep((0.02, 0.01, 0.0)[way])
        Fails.ended.append(way)
        if way:
            raise (Cancelled("the run was asked to stop.") if Fails.stops and way == 2 else StepFailed(f"way {way}."))


@pytest.mark.parametrize(("stops", "error", "says"), [(False, StepFailed, "way 1"), (True, Cancelled, "asked to stop")])
def test_of_ways_that_fail_the_first_in_order_is_told_when_all_have_ended_but_what_stops_the_run_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: bool, error: type[Exception], says: str
) -> None:
    monkeypatch.setattr(Fails, "ended", [])
    monkeypatch.setattr(Fails, "stops", stops)
    run = run_in(tmp_path, ScriptedEngine())
    with pytest.raises(error, match=says):
        solve(run, Fails(), [task(1)])
    run.ledger.close()
    assert Fails.ended == [2, 1, 0]


class Twice(Solve):
    """Goes two ways, and then two more; or begins a branch of one name twice."""

    name: ClassVar[str] = "twice"
    same: bool = False

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        for _ in range(2):
            await side_by_side(models, [self._goes, self._goes])
        return [models["self"].branch("1.0")] if self.same else []  # type: ignore[attr-defined]

    async def _goes(self, models: Models) -> None:
        await models["self"].ask((Message(role=Role.user, content="?"),), n=1, sampling=SHORT)


def test_a_call_forks_as_often_as_it_likes_and_a_branch_is_begun_once(tmp_path: Path) -> None:
    run = run_in(tmp_path, ScriptedEngine())
    solve(run, Twice(), [task(1)])
    assert {r[0] for r in rows(tmp_path, "journal", "branch")} == {"0", "1", "1.0", "1.1"}
    run.ledger.close()
    run = run_in(tmp_path, ScriptedEngine())
    with pytest.raises(StepFailed, match="begun twice"):
        solve(run, Twice(same=True), [task(1)])
    run.ledger.close()


def test_a_way_that_cancels_itself_is_a_failure_and_the_others_end_first() -> None:
    ended: list[str] = []

    class Apart(Told):
        def branch(self, name: str) -> Apart:
            return self

        def has_branch(self, name: str) -> bool:
            return False

        def begun_in_turn(self) -> bool:
            return False

    async def cancels(models: Models) -> None:
        raise asyncio.CancelledError

    async def goes(models: Models) -> None:
        await asyncio.sleep(0.01)
        ended.append("goes")

    async def given_up() -> None:
        going = asyncio.create_task(side_by_side({"self": Apart(lambda said: said)}, [goes]))
        await asyncio.sleep(0.002)
        going.cancel()
        await going

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(side_by_side({"self": Apart(lambda said: said)}, [cancels, goes]))
    assert ended == ["goes"]
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(given_up())
    assert ended == ["goes"]


def test_outside_a_run_the_ways_are_gone_one_after_the_other() -> None:
    order: list[int] = []

    async def go(way: int, models: Models) -> int:
        order.append(way)
        await asyncio.sleep(0)
        order.append(way)
        return way

    ways = [partial(go, way) for way in (0, 1)]
    assert asyncio.run(side_by_side({"self": Told(lambda said: said)}, ways)) == [0, 1]
    assert order == [0, 0, 1, 1]


def test_a_ledger_of_schema_3_is_read_and_brought_up_to_date_after_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    whole = made_in(tmp_path, UseTools(samples=1))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for table in ("journal", "borders"):
            assert set(raw.execute(f"select branch from {table}")) <= {(None,)}
            raw.execute(f"alter table {table} drop column branch")
        raw.execute("update about set value = '3' where key = 'schema'")
    with closing(Ledger.read(path)) as ledger:
        assert [w for w in verify(ledger) if "which is not there" not in w] == []
        assert ledger.content_digest() == whole
        assert [e.branch for e in of_call(ledger, ledger.rows("calls")[0]["key"])] == [None]
    with closing(Ledger(path)) as ledger:
        assert ledger.copied == path.with_name("ledger.db.schema-3")
        assert {op["source"] for op in ledger.ops().values()} == {f"{schema.BEFORE} 4"}
    assert made_in(tmp_path, UseTools(samples=1)) == whole
