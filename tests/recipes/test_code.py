"""ReST-EM with execution as its verifier, end to end on the scripted model: sums whose tests run in the sandbox."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.recipes.scripted import content, instar, run, start, wait_until

SMALL_ENOUGH = (
    "rounds=1", "sizes.train=24", "sizes.gate=40", "sizes.sealed=30", "solve.samples=4",
    'judge={op="execution", read="expression", seconds=20}',
)  # fmt: skip


def tasks(folder: Path) -> str:
    """180 sums with a visible and two hidden tests each, as a file; the setting that names it."""
    luck = random.Random(7)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < 180:
        a, b = sorted((luck.randint(1, 60), luck.randint(1, 60)))
        pairs.add((a, b))
    rows = (
        {
            "question": f"What is {a} + {b}?",
            "ability": "add",
            "answer": str(a + b),
            "tests": {"visible": ["assert answer() > 0"], "hidden": [f"assert answer() == {a + b}", "answer() % 1"]},
        }
        for a, b in sorted(pairs)
    )
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return f'tasks={{op="code_jsonl", path="{file}"}}'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def sets(runs: Path) -> tuple[str, ...]:
    return (*SMALL_ENOUGH, tasks(runs.parent))


@pytest.fixture(scope="module")
def undisturbed(runs: Path, sets: tuple[str, ...]) -> dict:
    return run(runs, "undisturbed", *sets)


def test_tasks_without_tests_are_refused_before_a_token_is_spent(runs: Path) -> None:
    refused = run(runs, "refused", 'judge={op="execution"}', check=False)
    assert refused["code"] == 3
    assert "no hidden tests" in refused["error"]
    assert not (runs / "refused").exists()


def test_the_audit_of_a_run_on_programs_has_precision_and_recall_for_execution(runs: Path) -> None:
    found = run(
        runs, "audited", 'tasks={op="code_basics", kinds=["add", "keep"]}', 'judge={op="execution", seconds=20}',
        "rounds=1", "sizes.train=3", "sizes.gate=2", "sizes.dev=2", "sizes.sealed=2", "solve.samples=1",
        "audit_with.tasks=3",
    )  # fmt: skip
    (first,) = [a for r in found["audit"] for a in r["assessments"] if a["name"] == "execution"]
    assert first["trusted"]
    assert first["counts"] == {"good": {"right": 3}, "bad": {"wrong": 3}, "wrong_reason": {"wrong": 3}}
    assert (first["numbers"]["precision"], first["numbers"]["recall"]) == (1.0, 1.0)
    assert first["numbers"]["wrong_reason_accepted"] == 0.0


@pytest.mark.slow
def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["n"] == 30
    assert undisturbed["sealed"]["gain"] > 0


@pytest.mark.slow
def test_it_fails_to_improve_when_its_filter_is_inverted(runs: Path, sets: tuple[str, ...]) -> None:
    inverted = run(runs, "inverted", *sets, 'right={op="not", inner="score_at_least"}')
    assert inverted["sealed"]["gain"] <= 0
    assert not any(r["gate"]["promoted"] for r in inverted["rounds"])


@pytest.mark.slow
def test_killed_in_the_middle_of_its_executions_it_ends_the_same(
    runs: Path, sets: tuple[str, ...], undisturbed: dict
) -> None:
    process = start(runs, "killed", *sets)
    ledger = runs / "killed" / "ledger.db"

    def judged() -> bool:
        try:
            with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
                return bool(raw.execute("select count(*) > 5 from records where kind = 'feedback'").fetchone()[0])
        except sqlite3.OperationalError:
            return False

    wait_until(judged)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    instar("resume", "killed", "--quiet", runs=runs)
    assert json.loads(instar("show", "killed", "--json", runs=runs).stdout)["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")
