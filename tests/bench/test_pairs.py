from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.others import Others
from bench.pairs import Outcome, PairRow, Reading, alternate
from bench.rows import rows
from bench.worker import Worker

from bench import results


class Scripted:
    """A side that reads what it is told to and writes down when it had its turn."""

    def __init__(self, name: str, values: list[float], log: list[str]) -> None:
        self.name, self.values, self.log = name, values, log

    def open(self) -> None:
        self.log.append(f"open {self.name}")

    def run(self, work: Mapping[str, Any]) -> Reading:
        self.log.append(f"{self.name}{work['pair']}")
        return Reading(self.values[work["pair"] + 1], 1.0)

    def close(self) -> None:
        self.log.append(f"close {self.name}")


def row(log: list[str], ours: list[float], theirs: list[float], **more: Any) -> PairRow:
    settings: dict[str, Any] = {"target": 3.0, **more}
    return PairRow(
        key="k",
        title="t",
        unit="tokens/s",
        ours=Scripted("a", ours, log),
        theirs=Scripted("b", theirs, log),
        work=lambda i: {"pair": i},
        **settings,
    )


def measured(**more: Any) -> Outcome:
    return row([], [9, 30, 40, 80], [9, 10, 10, 10], **more).measure(3, lambda _: None)


def test_the_sides_take_turns_and_the_warm_up_does_not_count() -> None:
    log: list[str] = []
    found = row(log, [1000, 30, 40, 80], [1, 10, 10, 10]).measure(3, lambda _: None)
    assert log == ["open a", "open b", "a-1", "b-1", "a0", "b0", "a1", "b1", "a2", "b2", "close a", "close b"]
    assert (found.ratio, found.low, found.high) == (4, 3, 8)
    assert [r.value for r in found.ours_readings] == [30, 40, 80]


def test_a_ratio_is_that_of_neighbours_in_time_not_of_the_medians() -> None:
    # the machine became four times as fast after the first pair: both medians would be from different times
    found = row([], [0, 10, 40, 40], [1, 5, 5, 20]).measure(3, lambda _: None)
    assert found.ratio == 2


class Beside(Scripted):
    """A side beside which others were at work during the given pairs."""

    disturbed: tuple[int, ...] = ()

    def run(self, work: Mapping[str, Any]) -> Reading:
        found = super().run(work)
        return Reading(found.value, 1.0, {"others": 0.4 if work["pair"] in self.disturbed else 0.01})


def test_a_pair_beside_which_others_were_at_work_is_measured_again() -> None:
    log: list[str] = []
    theirs = Beside("b", [10, 10, 1, 10], log)
    theirs.disturbed = (1,)
    given = (Scripted("a", [0, 30, 40, 50], log), theirs, lambda i: {"pair": i})
    ours, _ = alternate(*given, 2, lambda _: None)
    assert [r.value for r in ours] == [30, 50]
    ours, _ = alternate(*given, 2, lambda _: None, noise=True)
    assert [r.value for r in ours] == [30, 40]


def test_a_machine_that_stays_busy_is_refused_in_a_sentence() -> None:
    theirs = Beside("b", [1] * 9, [])
    theirs.disturbed = tuple(range(9))
    with pytest.raises(RuntimeError, match="only 0 of 2 pairs could be measured undisturbed"):
        alternate(Scripted("a", [1] * 9, []), theirs, lambda i: {"pair": i}, 2, lambda _: None)


def test_what_others_take_is_told_from_what_the_group_takes() -> None:
    code = "import time\nend = time.time() + 0.6\nwhile time.time() < end: pass"
    group = subprocess.Popen(
        [sys.executable, "-c", "input(); " + f"exec({code!r}); input()"], stdin=-1, start_new_session=True
    )
    assert group.stdin is not None
    time.sleep(0.3)
    own, other = Others(group.pid), Others(-1)
    group.stdin.write(b"\n")
    group.stdin.flush()
    time.sleep(1.0)
    mine, all_of_it = own.share(), other.share()
    group.kill()
    group.wait()
    assert mine is not None
    assert all_of_it is not None
    assert mine < all_of_it


def test_a_row_is_met_on_the_right_side_of_its_target_and_says_nothing_without_one() -> None:
    assert measured(target=4.0).met is True
    assert measured(target=4.1).met is False
    assert measured(target=4.1, at_least=False).met is True
    assert measured(target=None).met is None


def test_a_side_that_fails_closes_both() -> None:
    log: list[str] = []
    with pytest.raises(IndexError):
        row(log, [1], [1]).measure(3, lambda _: None)
    assert log[-2:] == ["close a", "close b"]


def test_a_partial_run_replaces_its_row_and_keeps_the_others(tmp_path: Path) -> None:
    machine = {"cpu": "x"}
    results.merge(measured(), machine, tmp_path)
    other = Outcome(**{**measured().__dict__, "key": "other"})
    results.merge(other, machine, tmp_path)
    whole = results.merge(row([], [9, 20], [9, 10]).measure(1, lambda _: None), machine, tmp_path)
    assert whole["ratios"] == {"k": 2.0, "other": 4.0}
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["ratios"] == whole["ratios"]
    assert [len(r["ours_readings"]) for r in stored["rows"]] == [1, 3]
    page = (tmp_path / "README.md").read_text()
    assert "not met" in page
    assert ">= 3: met" in page
    assert (tmp_path / "ratios.svg").read_text().startswith("<?xml")


SCRIPT = """
import os, sys
from bench.serve import serve, settings
def load():
    print("noise of a library")
    def do(work):
        if work["n"] < 0: raise ValueError("cannot count below zero")
        print("more noise")
        return {"value": work["n"] * settings()["times"], "seconds": 0.5, "detail": {"pid": os.getpid()}}
    return do
serve(load)
"""


@pytest.mark.parametrize("fresh", [False, True])
def test_a_worker_answers_from_a_process_of_its_own(tmp_path: Path, fresh: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    worker = Worker("w", str(script), lambda: {"times": 3}, fresh=fresh)
    worker.open()
    found = [worker.run({"n": n}) for n in (2, 5)]
    assert [r.value for r in found] == [6, 15]
    assert (found[0].detail["pid"] == found[1].detail["pid"]) is not fresh
    worker.close()


def test_a_worker_that_fails_says_why_and_is_gone(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    worker = Worker("w", str(script), lambda: {"times": 3})
    worker.open()
    with pytest.raises(RuntimeError, match="cannot count below zero"):
        worker.run({"n": -1})
    worker.close()


def test_every_row_has_a_key_of_its_own_a_title_and_an_estimate() -> None:
    found = rows()
    assert {"generate_128_vs_transformers", "generate_32x8_equal_precision"} <= set(found)
    assert all(r.title and r.minutes(5) > 0 for r in found.values())
