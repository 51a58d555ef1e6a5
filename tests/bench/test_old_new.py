"""Two trees beside each other: what the pairs say, and which row is surely slower."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.old_new import SIDES, WORKS, Tree, interval, measure, table


def pairs(*ratios: float) -> list[dict[str, dict[str, float]]]:
    return [{"old": {"figure": 10.0, "wall": 20.0}, "new": {"figure": 10.0 * r, "wall": 21.0}} for r in ratios]


def test_the_interval_is_students_over_the_logarithms_of_the_pairs() -> None:
    mean, low, high = interval([1.0, 1.1, 1.0 / 1.1, 1.0, 1.0])
    assert mean == pytest.approx(1.0)
    assert low * high == pytest.approx(1.0)
    assert high == pytest.approx(1.0873, abs=1e-3)  # exp(2.776 * 0.0674 / sqrt(5))
    assert interval([2.0]) == (pytest.approx(2.0), 0.0, float("inf"))  # one pair says nothing of itself


def test_slower_is_what_lies_wholly_above_three_percent_and_nothing_else() -> None:
    found = {"scripted": pairs(1.05, 1.06, 1.05), "train_memory": pairs(1.0, 1.2, 1.1), "generate_128": pairs(0.9, 0.9)}
    text, slower = table(found)
    assert slower == ["scripted"]
    assert "10.00 MB" in text
    assert text.count("\n") == 1 + len(found)


def test_what_was_measured_is_not_measured_again_and_the_sides_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int]] = []

    def reading(self: Tree, what: object, pair: int) -> dict[str, float]:
        done.append((str(self._tree), pair))
        return {"figure": 1.0, "wall": 1.0}

    monkeypatch.setattr(Tree, "measure", reading)
    (path := tmp_path / "x.json").write_text(json.dumps({"scripted": pairs(1.0)}))
    trees = {side: Path(side) for side in SIDES}
    measure(["scripted"], trees, 3, path)
    measure(["scripted"], trees, 3, path)
    assert done == [("new", 1), ("old", 1), ("old", 2), ("new", 2)]
    assert len(json.loads(path.read_text())["scripted"]) == 3
    assert all(w.run or (w.script and w.work) for w in WORKS.values())
