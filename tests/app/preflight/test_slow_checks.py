"""A check of a user that is slower than the time it is given: told before the run, and counted in the estimate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from instar.acquire.feedback import pool
from instar.app.configs.config import Plan, plan
from instar.app.preflight import verifiers
from instar.app.preflight.estimate import estimate
from instar.app.preflight.verifiers import put_to_the_test
from instar.errors import ConfigError
from instar.records import Message, Role, Task

TASK = Task(
    messages=(Message(role=Role.user, content="What is 1 + 1?"),), ability="x", canonical="text:q", source="x",
    private={"answer": "2"},
)  # fmt: skip


def slow(folder: Path, seconds: float, *, patience: float, stress: str = "stop") -> Plan:
    (folder / "slow.py").write_text(
        f"import time\ndef is_right(reply, private):\n    time.sleep({seconds})\n    return reply == 'Answer: 2'\n"
    )
    judge = {"op": "verify", "checker": f"{folder}/slow.py:is_right", "seconds": patience}
    return plan({"recipe": "rest_em", "model": "scripted", "judge": judge, "verifier_stress": stress})


def test_checks_that_do_not_fit_their_time_are_told_with_the_setting_before_anything_is_asked(tmp_path: Path) -> None:
    made = slow(tmp_path, 0.3, patience=1.0)
    try:
        with pytest.raises(ConfigError) as refused:
            asyncio.run(put_to_the_test(made, [TASK], print))
    finally:
        pool.shared().close()
    assert "slow.py:is_right took 0.3 s: the 8 answers to a task take 2 s, and judge.seconds = 1" in str(refused.value)
    assert "--set judge.seconds=5" in refused.value.hint


def test_a_check_that_is_slow_on_wrong_answers_alone_is_told_too_and_one_that_nearly_fills_its_time_is_warned_of(
    tmp_path: Path,
) -> None:
    made = slow(tmp_path, 0.3, patience=3.4)
    said: list[str] = []
    (tmp_path / "slow.py").write_text(
        "import time\ndef is_right(reply, private):\n    right = reply == 'Answer: 2'\n"
        "    time.sleep(0 if right else 0.3)\n    return right\n"
    )
    tight = plan({**made.raw, "judge": {**made.raw["judge"], "seconds": 1.0}})
    try:
        asyncio.run(put_to_the_test(made, [TASK], said.append))
        with pytest.raises(ConfigError, match=r"took 0\.\d s: the 8 answers to a task take"):
            asyncio.run(put_to_the_test(tight, [TASK], said.append))
    finally:
        pool.shared().close()
    assert [line for line in said if "which a busy machine may not do" in line and "judge.seconds=" in line]


def test_a_check_that_never_ends_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers, "LONGEST", 0.4)
    try:
        with pytest.raises(ConfigError, match=r"did not end in 0\.4 s"):
            asyncio.run(put_to_the_test(slow(tmp_path, 60.0, patience=0.4), [TASK], print))
    finally:
        pool.shared().close()


def test_a_check_that_fits_is_timed_and_counted_in_the_estimate(tmp_path: Path) -> None:
    made = slow(tmp_path, 0.0, patience=10.0)
    try:
        each = asyncio.run(put_to_the_test(made, [TASK], print))
    finally:
        pool.shared().close()
    assert 0 < each < 1
    without, counted = estimate(made), estimate(made, check_seconds=1.5)
    assert counted["check_seconds"] == counted["answers"] * 1.5 / 2
    assert counted["seconds"] - without["seconds"] == counted["check_seconds"]
