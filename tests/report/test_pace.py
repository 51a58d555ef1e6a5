"""How long a run may still take, from what its steps took."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.report.facts import left_of
from instar.report.pace import pace
from instar.run.progress import Screen


def step(round: int, started: float, ended: float | None) -> dict[str, Any]:
    return {"round": round, "started": started, "ended": ended}


def test_the_first_round_tells_of_its_step_alone() -> None:
    doing = {"started": 10.0, "done": 20, "items": 100}
    found = pace([step(1, 0.0, 10.0), step(1, 10.0, None)], 3, doing, now=30.0)
    assert found == {"elapsed": 30.0, "step": 2, "of": None, "step_left": 80.0, "left": None, "all_left": None}


def test_later_rounds_take_what_the_first_ones_took() -> None:
    first = [step(1, 0.0, 60.0), step(1, 60.0, 100.0)]
    found = pace([*first, step(2, 100.0, None)], 3, {"started": 100.0, "done": 0, "items": 9}, now=130.0)
    assert (found["step"], found["of"], found["step_left"]) == (1, 2, None)
    assert found["left"] == 70.0 + 100.0


def test_nothing_is_told_before_a_step_has_begun() -> None:
    assert pace([], 2, None, now=5.0)["elapsed"] is None


AGENDA = {
    "rounds": 1, "solve": 100, "round_exam": 40, "end_exam": 90, "controls": 1, "samples": 5, "exam_samples": 1,
    "training": 50.0, "checking": 0.0,
}  # fmt: skip


def done(verb: str, round: int, items: int, started: float, ended: float | None) -> dict[str, Any]:
    return {
        "verb": verb, "round": round, "items": items, "started": started, "ended": ended, "finished": ended is not None,
    }  # fmt: skip


def left(steps: list[dict[str, Any]], now: float, done: int, *, evolved: bool = False) -> float | None:
    seconds: float | None = pace(steps, 1, {**steps[-1], "done": done}, now, AGENDA, evolved=evolved)["all_left"]
    return seconds


def test_what_is_left_of_the_whole_run_counts_its_last_exams_and_its_control() -> None:
    """A run of 200 s of sampling, 30 s of training, and 0.5 s an exam item; as foreseen while nothing is known."""
    solve = done("solve", 1, 100, 0.0, None)
    assert left([solve], 1.0, 0) is None, "there is no pace yet"
    assert left([solve], 100.0, 50) == 50 * 2.0 + 130 * 2.0 / 5 + 2 * 50.0
    solve = done("solve", 1, 100, 0.0, 200.0)
    assert left([solve, done("update", 1, 1, 200.0, None)], 210.0, 0) == 130 * 0.4 + (2 - 10 / 50) * 50.0
    update = done("update", 1, 1, 200.0, 230.0)
    gate = done("exam", 0, 20, 230.0, 240.0)
    assert left([solve, update, gate, done("exam", 0, 20, 240.0, None)], 245.0, 10) == 10 * 0.5 + 90 * 0.5 + 30.0
    over = [solve, update, gate, done("exam", 0, 20, 240.0, 250.0), done("gate", 1, 1, 250.0, 250.0)]
    assert left([*over, done("update", 2, 1, 250.0, None)], 265.0, 0, evolved=True) == 90 * 0.5 + 15.0
    control = [*over, done("update", 2, 1, 250.0, 280.0)]
    assert left([*control, done("exam", 0, 30, 280.0, None)], 295.0, 30, evolved=True) == 60 * 0.5
    assert left([*control, done("exam", 0, 90, 280.0, 325.0)], 325.0, 90, evolved=True) == 0.0


def test_slow_checks_are_part_of_what_is_left() -> None:
    solve = done("solve", 1, 100, 0.0, 200.0)
    update = done("update", 1, 1, 500.0, None)
    without = left([solve, update], 500.0, 0)
    judged = left([solve, done("judge", 1, 100, 200.0, 500.0), update], 500.0, 0)
    assert without is not None
    assert judged == without + 130 * 3.0


def test_the_terminal_says_what_is_left_of_the_whole_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instar.run.progress._EVERY", -1.0)
    screen = Screen("plain")
    screen.left = lambda: 125.0
    with screen.phase("solving", 100) as phase:
        phase.advance(10)
    assert "solving: 10/100, about" in (said := capsys.readouterr().err)
    assert "whole run: about 2 min 05 s left" in said
    with screen.phase("training", 36) as phase:
        phase.began -= 100.0
        phase.at(4, 36)
    assert "about 13 min 20 s left, whole run: about 13 min 20 s left" in capsys.readouterr().err
    screen.left = lambda: None
    with screen.phase("solving", 100) as phase:
        phase.advance(10)
    assert "whole run" not in capsys.readouterr().err


def test_a_run_stores_what_it_has_to_do_and_whoever_looks_on_hears_what_is_left_of_it(
    small: Path, tmp_path: Path
) -> None:
    """A scripted run with a control, as it was during the exam of the control, the last of its three."""
    assert left_of(small) is None, "it is over"
    folder = shutil.copytree(small, tmp_path / "small")
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        last = "select key from steps where verb = 'exam' order by seq desc limit 1"
        raw.execute(f"update calls set status = 'failed' where step = ({last}) and rowid % 2")
        raw.execute(f"update steps set finished = 0, ended = null where key = ({last})")
        agenda = json.loads(raw.execute("select value from about where key = 'agenda'").fetchone()[0])
        sizes = dict(raw.execute("select name, count(*) from sets group by name"))
        sampled = raw.execute("select sum(items) from steps where verb = 'solve'").fetchone()[0]
    assert agenda["controls"] == 1
    assert agenda["end_exam"] == 3 * sizes["sealed"]
    assert agenda["rounds"] * agenda["solve"] == sampled == sizes["train"]
    assert agenda["rounds"] * (agenda["round_exam"] - sizes.get("dev", 0)) == 2 * sizes["gate"]
    seconds = left_of(folder)
    assert seconds is not None
    assert seconds > 0.0


def test_the_hours_between_two_sessions_are_no_pace(small: Path, tmp_path: Path) -> None:
    """A step that was killed in its middle, and was gone on with half a day later."""
    folder = shutil.copytree(small, tmp_path / "small")
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        last = "select key from steps where verb = 'exam' order by seq desc limit 1"
        raw.execute(f"update calls set status = 'failed' where step = ({last}) and rowid % 2")
        raw.execute(f"update steps set finished = 0, ended = null where key = ({last})")
        raw.execute("update sessions set status = 'running'")
    at_once = left_of(folder)
    assert at_once
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        exam = "select started, ended from steps where verb = 'exam' order by seq"
        killed = sum(raw.execute(exam).fetchone()) / 2
        (began,) = raw.execute("select started from sessions").fetchone()
        raw.execute("update sessions set started = ?", (killed,))
        row = (0, 1, "here", began - 40_000.0, killed - 40_000.0, "running")
        raw.execute("insert into sessions (id, pid, host, started, ended, status) values (?, ?, ?, ?, ?, ?)", row)
        raw.execute("update steps set started = started - 40000 where started < ?", (killed,))
        raw.execute("update steps set ended = ended - 40000 where ended < ?", (killed,))
    later = left_of(folder)
    assert later == pytest.approx(at_once, rel=0.2, abs=5.0)
