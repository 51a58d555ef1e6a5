"""ReST-EM on the scripted model: it improves, it does not when its filter is inverted, and a kill changes nothing."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from instar.records import Decision, Policy, Solution
from instar.store.ledger import Ledger
from tests.recipes.scripted import content, instar, run, start, wait_until


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, object]:
    return run(runs, "undisturbed")


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    sealed = undisturbed["sealed"]
    assert undisturbed["status"] == "finished"
    assert sealed["n"] == 60
    assert sealed["gain"] > 0
    assert sealed["gain"] == pytest.approx(sealed["final"] - sealed["base"])
    assert undisturbed["final"] != undisturbed["base"]
    assert any(r["gate"]["promoted"] for r in undisturbed["rounds"])


def test_it_fails_to_improve_when_its_filter_is_inverted(runs: Path) -> None:
    inverted = run(runs, "inverted", 'right={op="not", inner="score_at_least"}')
    assert inverted["sealed"]["gain"] <= 0
    assert not any(r["gate"]["promoted"] for r in inverted["rounds"])


def test_made_from_reaches_every_training_task_and_no_held_out_one(runs: Path, undisturbed: dict) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    final = next(r for r in ledger.records("policy") if r.id == undisturbed["final"])
    assert isinstance(final, Policy)
    reached = ledger.ancestors(final.id)
    sets = ledger.sets()
    promoted = ledger.provenance(final.id)["round"]
    last = {i for i, o in ledger.ops().items() if o["name"] == "per_task_cap"}
    decisions = [
        Decision.model_validate_json(row["body"])
        for row in ledger.rows("records")
        if row["kind"] == "decision" and row["op"] in last and row["round"] <= promoted
    ]
    kept = {d.item for d in decisions if d.kept}
    trained_on = {s.task for s in ledger.records("solution") if isinstance(s, Solution) and s.id in kept}
    assert trained_on
    assert trained_on == reached & set(sets["train"])
    assert not reached & {t for name in ("gate", "sealed") for t in sets[name]}
    ledger.close()


def test_the_same_config_and_seed_give_the_same_ledger_and_another_seed_does_not(runs: Path, undisturbed: dict) -> None:
    again = run(runs, "again")
    assert again["final"] == undisturbed["final"]
    assert content(runs, "again") == content(runs, "undisturbed")
    other = run(runs, "other", "seed=2")
    assert content(runs, "other") != content(runs, "undisturbed")
    assert other["sealed"]["n"] == 60


def long(rounds: int) -> tuple[str, ...]:
    """A run of some ten seconds a round, so that kills fall into all of it."""
    return f"rounds={rounds}", "sizes.train=300", "sizes.gate=300", "sizes.sealed=300", "engine_options.latency=0.5"


@pytest.mark.parametrize(
    ("kills", "rounds"),
    [pytest.param(4, 1, marks=pytest.mark.slow), pytest.param(25, 6, marks=pytest.mark.nightly)],
)
def test_killed_at_random_moments_it_ends_the_same_and_asks_nothing_twice(runs: Path, kills: int, rounds: int) -> None:
    calm = run(runs, "calm", *long(rounds))
    luck = random.Random(20260101)
    asked_before_kill: set[tuple[str, float]] = set()
    moments: list[str] = []
    process = start(runs, "killed", *long(rounds))
    while len(moments) < kills:
        # moments are counted from when the session holds the ledger: a busy machine only starts later
        wait_until(lambda: _sessions(runs / "killed" / "ledger.db") > len(moments))
        if len(moments) % 2:  # and every other one from when it asks: there it may take longer to come to that
            known = len(asked_before_kill)
            wait_until(lambda known=known: len(_asked(runs / "killed" / "ledger.db")) > known)
        time.sleep(luck.uniform(0.2, 3.0))
        assert process.poll() is None, f"over after {len(moments)} kills: make the run longer"
        process.send_signal(signal.SIGKILL)
        process.wait()
        ledger = runs / "killed" / "ledger.db"
        asked = _asked(ledger)
        assert asked_before_kill <= asked, "a finished ask was lost, or asked again"
        asked_before_kill = asked
        moments.append(f"{len(asked)} asks and {_calls(ledger)} calls")
        process = _resume(runs, "killed") if _began(ledger) else start(runs, "killed", *long(rounds))
    assert process.wait(timeout=300) == 0
    print(f"killed {len(moments)} times, after: {', '.join(moments)}")
    found = json.loads(instar("show", "killed", "--json", runs=runs).stdout)
    assert len(set(moments)) > kills // 3, "the kills hit too few different moments"
    assert found["final"] == calm["final"]
    assert content(runs, "killed") == content(runs, "calm")
    assert asked_before_kill <= _asked(ledger)


def _resume(runs: Path, name: str):
    import os
    import subprocess
    import sys

    return subprocess.Popen(
        [sys.executable, "-m", "instar.cli", "resume", name, "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=runs.parent,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(runs.parent / "home")},
    )  # fmt: skip


def _asked(ledger: Path) -> set[tuple[str, float]]:
    """(key, when it was written) of every journalled ask."""
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
            return set(raw.execute("select key, at from journal"))
    except sqlite3.OperationalError:
        return set()


def _calls(ledger: Path) -> int:
    """How many operator calls are finished."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
        return int(raw.execute("select count(*) from calls").fetchone()[0])


def _sessions(ledger: Path) -> int:
    """How many sessions have begun on a run."""
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
            return int(raw.execute("select count(*) from sessions").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _began(ledger: Path) -> bool:
    """Whether the killed run got as far as storing its config."""
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
            return bool(raw.execute("select 1 from about where key = 'config'").fetchall())
    except sqlite3.OperationalError:
        return False
