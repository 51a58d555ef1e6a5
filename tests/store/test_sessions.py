"""A clock that is set while a run works: what was measured is believed, by budgets and by readers."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from instar.store.ledger import Ledger
from instar.store.sessions import ABSURD, clock_jumped, seconds_of

TEN_DAYS = 864_000.0


@pytest.mark.parametrize("jump", [TEN_DAYS, -TEN_DAYS])
@pytest.mark.parametrize("ended", [True, False])
def test_a_session_is_as_long_as_it_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float, ended: bool
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    session = ledger.begin_session()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    ledger.set_about(some="sign of life")
    if ended:
        ledger.end_session(session, "stopped", "", {"generate": (0.25, 10)})
    (seconds,) = seconds_of(ledger).values()
    assert 0 <= seconds < 5
    assert not clock_jumped(ledger)
    (row,) = ledger.rows("sessions")
    assert 0 <= row["ended"] - row["started"] < 5
    ledger.close()


@pytest.mark.parametrize(
    ("stamped", "status", "seconds", "odd"),
    [
        (TEN_DAYS + 7, "stopped", 60.0, True),  # an older instar, the clock set forward
        (-TEN_DAYS, "stopped", 60.0, True),
        (TEN_DAYS + 7, "running", 60.0, True),  # and killed
        (-TEN_DAYS, "running", 60.0, True),
        (90.0, "running", 90.0, False),  # killed in a long step: it lived at least so long
        (61.0, "finished", 60.0, False),
        (ABSURD - 1, "running", ABSURD - 1, False),
    ],
)
def test_what_an_older_ledger_stamped_is_believed_as_far_as_it_can_be(
    tmp_path: Path, stamped: float, status: str, seconds: float, odd: bool
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.end_session(ledger.begin_session(), status, "", {"generate": (40.0, 1), "exam": (20.0, 1)})
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("update sessions set started = 1e9, ended = ?", [1e9 + stamped])
    reader = Ledger.read(tmp_path / "ledger.db")
    assert seconds_of(reader) == {1: seconds}
    assert clock_jumped(reader) is odd
    reader.close()


def test_a_session_that_never_gave_a_sign_of_life_took_no_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin_session()
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("update sessions set ended = null")
    reader = Ledger.read(tmp_path / "ledger.db")
    assert seconds_of(reader) == {1: 0.0}
    reader.close()


@pytest.mark.parametrize(("stored", "shown"), [(-863_989.3, None), (864_007.0, None), (58.0, 58.0)])
def test_a_time_of_evolution_that_cannot_be_is_not_shown(tmp_path: Path, stored: float, shown: float | None) -> None:
    from instar.report.summary import summary

    ledger = Ledger(tmp_path / "ledger.db")
    ledger.set_about(result=json.dumps({"evolution_seconds": stored}))
    ledger.end_session(ledger.begin_session(), "finished", "", {"generate": (60.0, 1)})
    ledger.close()
    assert summary(tmp_path)["evolution_seconds"] == shown
