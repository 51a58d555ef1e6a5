"""How long a run may still take, from what its steps took."""

from __future__ import annotations

from typing import Any

from instar.report.pace import pace


def step(round: int, started: float, ended: float | None) -> dict[str, Any]:
    return {"round": round, "started": started, "ended": ended}


def test_the_first_round_tells_of_its_step_alone() -> None:
    doing = {"started": 10.0, "done": 20, "items": 100}
    found = pace([step(1, 0.0, 10.0), step(1, 10.0, None)], 3, doing, now=30.0)
    assert found == {"elapsed": 30.0, "step": 2, "of": None, "step_left": 80.0, "left": None}


def test_later_rounds_take_what_the_first_ones_took() -> None:
    first = [step(1, 0.0, 60.0), step(1, 60.0, 100.0)]
    found = pace([*first, step(2, 100.0, None)], 3, {"started": 100.0, "done": 0, "items": 9}, now=130.0)
    assert (found["step"], found["of"], found["step_left"]) == (1, 2, None)
    assert found["left"] == 70.0 + 100.0


def test_nothing_is_told_before_a_step_has_begun() -> None:
    assert pace([], 2, None, now=5.0)["elapsed"] is None
