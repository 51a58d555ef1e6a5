"""GRPO on the scripted model: it improves, not with an inverted reward, and a kill in its rollouts changes nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from instar.store.ledger import Ledger
from tests.recipes.scripted import content, instar, start, wait_until

SETS = (
    "model=scripted", "rounds=2", "sizes.train=60", "sizes.gate=60", "sizes.sealed=60", "solve.samples=6",
    "train.prompts=20", "train.iterations=3",
)  # fmt: skip
INVERTED = 'judge={op="verify", checker="upside_down.py:is_wrong"}'
CHECKER = """
def is_wrong(reply, private):
    return not reply.rstrip(".").endswith(str(private["answer"]))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("work") / "runs"
    (place.parent / "upside_down.py").write_text(CHECKER)
    return place


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return go(runs, "undisturbed")


def go(runs: Path, name: str, *sets: str) -> dict:
    given = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "grpo", "--name", name, "--json", "--quiet", *given, runs=runs, cwd=runs.parent)
    return json.loads(done.stdout)


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert any(r["gate"]["promoted"] for r in undisturbed["rounds"])


def test_it_fails_to_improve_when_its_reward_is_inverted(runs: Path) -> None:
    found = go(runs, "inverted", INVERTED, "exam.judge.checker=auto", "verifier_stress=off")
    assert found["sealed"]["gain"] <= 0
    assert not any(r["gate"]["promoted"] for r in found["rounds"])


def test_its_tasks_are_what_the_policy_is_made_from_and_no_gate_or_sealed_task_is(
    runs: Path, undisturbed: dict
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    reached, sets = ledger.ancestors(undisturbed["final"]), ledger.sets()
    assert reached & set(sets["train"])
    assert not reached & {t for n in ("gate", "sealed") for t in sets[n]}
    ledger.close()


def asked(runs: Path, name: str) -> int:
    try:
        with sqlite3.connect(f"file:{runs / name / 'ledger.db'}?mode=ro", uri=True) as raw:
            return int(raw.execute("select count(*) from journal").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_killed_in_its_rollouts_it_ends_the_same_and_asks_nothing_again(runs: Path, undisturbed: dict) -> None:
    process = start(runs, "killed", "engine_options.latency=0.1", recipe="grpo", small=SETS)
    wait_until(lambda: asked(runs, "killed") >= 25)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = asked(runs, "killed")
    assert before < 60  # it was killed inside the second or third rollout of the first round
    instar("resume", "killed", "--quiet", runs=runs, cwd=runs.parent)
    found = json.loads(instar("show", "killed", "--json", runs=runs).stdout)
    assert found["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")
