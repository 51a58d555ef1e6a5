"""Reflexion on episodes, as in its paper: a failed one is reflected on, played again, and what helped is remembered."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.recipes.scripted import instar

GAME = f'"{Path(__file__).with_name("parity.py")}:Parity"'
PLAY = f'{{op="play", environment={GAME}, samples=1, turns=2, sampling={{temperature=0.7, max_tokens=32}}}}'
OUTCOME = f'{{op="outcome", environment={GAME}}}'
TRIALS = f'{{op="reflexion", episodes=true, trials=3, solve={PLAY}, judge={OUTCOME}}}'
SETS = (
    "model=scripted", f"tasks={GAME}", f"attempt={TRIALS}", f"procedure={TRIALS}",
    f'exam={{solve={{op="recalling", inner={PLAY}, kinds=["reflection"]}}, judge={OUTCOME}}}',
    "sizes.train=24", "sizes.gate=8", "sizes.sealed=10", "sizes.dev=0", "verifier_stress=off", "audit_with=none",
)  # fmt: skip


def test_failed_episodes_are_reflected_on_played_again_and_remembered(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    given = [o for s in SETS for o in ("--set", s)]
    done = instar("run", "reflexion", "--name", "played", "--json", "--quiet", *given, runs=runs)
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert found["sealed"]["procedures"]["reflexion"]["n"] == 10
    with closing(sqlite3.connect(runs / "played" / "ledger.db")) as db:
        bodies = [json.loads(b) for (b,) in db.execute("select body from records where kind = 'solution'")]
    again = [b for b in bodies if any(t.get("kind") == "critique" for t in b["turns"])]
    assert again
    for solution in again:
        assert sum(t.get("kind") == "tool_result" for t in solution["turns"]) == 2
        assert not any(t.get("train", True) for t in solution["turns"])
    instar("verify", "played", runs=runs)
