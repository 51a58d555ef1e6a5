"""A run under the sequential gate: fewer items are asked, its ledger verifies, and nothing shows what a stopped sample
scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.records import Report, Verdict
from instar.report.facts import facts
from instar.store.ledger import Ledger
from tests.recipes.scripted import content, run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def ended(runs: Path) -> dict[str, Any]:
    return run(runs, "sequential", "gate=sequential_gate", "sizes.gate=150", "engine_options.latency=0")


def test_its_verdicts_follow_from_the_items_that_were_asked(runs: Path, ended: dict[str, Any]) -> None:
    assert ended["status"] == "finished"
    assert content(runs, "sequential")
    ledger = Ledger.read(runs / "sequential" / "ledger.db")
    verdicts = [v for v in ledger.records("verdict") if isinstance(v, Verdict)]
    reports = {r.id: r for r in ledger.records("report") if isinstance(r, Report)}
    ledger.close()
    assert any(v.promoted for v in verdicts)
    assert all(len(reports[v.incumbent_report].outcomes) == v.checks[0].numbers["n"] for v in verdicts)
    assert min(v.checks[0].numbers["n"] or 0 for v in verdicts if v.promoted) < 150
    items = [{o.task for o in reports[v.incumbent_report].outcomes} for v in verdicts]
    assert not set.intersection(*items)


def test_no_page_shows_a_score_of_what_stopped_early(runs: Path, ended: dict[str, Any]) -> None:
    found = facts(runs / "sequential")
    assert "gate" not in {s["suite"] for p in found["policies"] for s in p["scores"]}
    gains = [g["gains"]["all"] for r in found["rounds"] for g in r["gates"]]
    assert [g["gain"] for g in gains] == [None, None]
    assert all(g["low"] < g["high"] for g in gains)
