"""Which runs there are, and their removal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from instar.cli.runs import remove_runs
from instar.errors import LockError
from instar.store.ledger import Ledger
from instar.store.lock import WriterLock
from tests.recipes.scripted import instar


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """Two finished runs, one of them with a name in Chinese, and one that failed."""
    runs = tmp_path / "runs"
    shutil.copytree(made / "two", runs / "工单-1")
    shutil.copytree(made / "two", runs / "broken")
    ledger = Ledger(runs / "broken" / "ledger.db")
    ledger.set_about(result="{}")
    session = ledger.begin_session()
    ledger.end_session(session, "failed", "StepFailed: the \x1b[31mchecker\x1b[0m failed", {})
    ledger.close()
    return runs


def test_every_run_is_listed_with_what_it_came_to_or_why_it_did_not(runs: Path) -> None:
    printed = instar("runs", runs=runs).stdout
    assert "工单-1" in printed
    assert "finished" in printed
    assert "StepFailed: the" in printed
    assert "\x1b" not in printed
    assert {r["name"]: r["status"] for r in json.loads(instar("runs", "--json", runs=runs).stdout)} == {
        "工单-1": "finished", "broken": "failed",
    }  # fmt: skip
    shown = instar("show", "broken", runs=runs).stdout
    assert "it ended with: StepFailed: the" in shown
    assert "yet" not in instar("show", "工单-1", runs=runs).stdout


def test_a_run_is_removed_when_told_to_and_nothing_else_is(runs: Path) -> None:
    assert "would remove 1 run: instar rm 工单-1 --yes" in instar("rm", "工单-1", runs=runs).stdout
    assert (runs / "工单-1" / "ledger.db").is_file()
    assert instar("rm", "工单-1", "nothing", "--yes", runs=runs, check=False).returncode == 2
    assert (runs / "工单-1" / "ledger.db").is_file()
    instar("rm", "工单-1", "--yes", runs=runs)
    assert [p.name for p in runs.iterdir()] == ["broken"]
    assert instar("rm", "../runs/broken", "--yes", runs=runs, check=False).returncode == 2


def test_a_run_that_begins_between_the_look_and_the_removal_stays(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_RUNS", str(runs))
    with WriterLock(runs / "broken" / "lock"):
        monkeypatch.setattr("instar.cli.runs.holder_of", lambda path: None)  # nobody held it when it was looked at
        with pytest.raises(LockError, match="is being written by process"):
            remove_runs(["工单-1", "broken"], yes=True, as_json=False, quiet=True)
    assert all((runs / name / "ledger.db").is_file() for name in ("工单-1", "broken"))
    remove_runs(["工单-1", "broken"], yes=True, as_json=False, quiet=True)
    assert list(runs.iterdir()) == []


def test_a_round_has_one_line_and_the_rest_is_for_full(made: Path) -> None:
    brief, full = (instar("show", "one", *more, runs=made).stdout for more in ((), ("--full",)))
    for number in (1, 2):
        (line,) = [x for x in brief.splitlines() if x.startswith(f"  round {number}: ")]
        assert len(line) <= 80
        assert " right, " in line
    assert "kept by score_at_least" not in brief
    assert "audit, round 1" not in brief
    assert "kept by score_at_least" in full
    assert "audit, round 1" in full
