"""The machine's matrix rate: measured once, kept for this processor alone, and a run's share of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from instar.app.host import limits, machine
from instar.app.host.machine import Beside
from instar.report.summary import shares
from tests.engines.tiny import make_model


def test_the_rate_is_measured_once_and_anew_on_another_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    monkeypatch.setattr(Beside, "quiet", lambda self: True)
    monkeypatch.setattr(limits, "_measured", lambda: measured.append("now") or {"float32": 100.0, "bfloat16": 100.0})
    assert limits.rates(tmp_path) == {"float32": 100.0, "bfloat16": 100.0}
    assert limits.rates(tmp_path) == {"float32": 100.0, "bfloat16": 100.0}
    assert measured == ["now"]
    kept = json.loads((tmp_path / limits.KEPT).read_text())
    (tmp_path / limits.KEPT).write_text(json.dumps({**kept, "processor": "another"}))
    limits.rates(tmp_path)
    assert len(measured) == 2


def test_what_was_measured_beside_other_work_is_measured_again_and_the_best_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, speed = False, 40.0
    load = 2.0
    monkeypatch.setattr(limits, "_measured", lambda: {"float32": speed})
    monkeypatch.setattr(Beside, "quiet", lambda self: alone)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert limits.rates(tmp_path)["float32"] == 40.0
    speed = 50.0
    assert limits.rates(tmp_path)["float32"] == 40.0
    load, alone, speed = 0.5, True, 100.0
    assert limits.rates(tmp_path)["float32"] == 100.0
    speed = 70.0
    assert limits.rates(tmp_path)["float32"] == 100.0
    assert limits.remember(tmp_path, {"float32": 60.0}, quiet=True) == {"float32": 100.0}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processor": 1, "cores": 2, "gflops": 7}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(limits, "_measured", lambda: {"float32": 50.0, "bfloat16": None})
    (tmp_path / limits.KEPT).write_text(text)
    assert limits.rates(tmp_path) == {"float32": 50.0}


def test_what_a_token_is_multiplied_with_is_every_matrix_and_one_embedding(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    c = json.loads((folder / "config.json").read_text())
    h, inner, layers, vocab = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"], c["vocab_size"]
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    size = c.get("head_dim") or h // heads
    block = h * size * (2 * heads + 2 * kv) + 3 * h * inner
    assert limits.multiplied(folder) == layers * block + vocab * h


def test_a_share_is_useful_work_by_the_rate_of_its_precision() -> None:
    noted = {
        "gflops": {"generate": 1000.0, "exam": 200.0},
        "gflop_a_token": {"generate": 0.25, "exam": 0.25, "train": 0.75},
    }
    spent = {"seconds": {"generate": 10.0, "exam": 10.0, "train": 5.0}, "tokens": {"generate": 8000, "train": 5}}
    assert shares(noted, spent) == {"generate": pytest.approx(0.2)}
    assert shares({}, spent) == {}


def test_a_share_is_never_more_than_the_whole() -> None:
    noted = {"gflops": {"train": 100.0}, "gflop_a_token": {"train": 0.75}}
    assert shares(noted, {"seconds": {"train": 1.0}, "tokens": {"train": 240}}) == {"train": 1.0}


def test_work_of_other_programs_while_something_is_measured_is_seen(tmp_path: Path) -> None:
    stat = tmp_path / "stat"

    def others(seconds: float) -> None:
        worked = round((seconds + sum(os.times()[:4])) * os.sysconf("SC_CLK_TCK"))
        stat.write_text(f"cpu  {worked} 0 0 12345 678 0 0 0 0 0\n")

    others(100.0)
    beside = Beside(stat)
    others(100.1)
    assert beside.quiet()
    others(103.0)
    assert not beside.quiet()


def test_what_was_measured_beside_other_work_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path / "model")
    monkeypatch.setattr(limits, "_measured", lambda: {"float32": 50.0})
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))
    for alone in (False, True):
        monkeypatch.setattr(Beside, "quiet", lambda self, alone=alone: alone)
        assert limits.limits(tmp_path, folder, {"train": "f32"})["quiet"] is alone


def test_measuring_leaves_no_threads_of_torch_in_this_process() -> None:
    code = (
        "import sys; from instar.app.host.limits import _measured; print(sorted(_measured()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == f"{sorted(limits.timed())} False\n"


@pytest.mark.parametrize(("hardware", "rate"), [(True, 900.0), (False, 60.0)])
def test_8_bit_weights_are_limited_by_bfloat16_where_there_is_such_a_product_and_else_by_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hardware: bool, rate: float
) -> None:
    here = {**machine.processor(), "bf16_in_hardware": hardware}
    monkeypatch.setattr(limits, "processor", lambda: here)
    monkeypatch.setattr(
        limits, "_measured", lambda: {d: {"float32": 60.0, "bfloat16": 900.0}[d] for d in limits.timed()}
    )
    noted = limits.limits(tmp_path, make_model(tmp_path / "model"), {"generate": "int8", "exam": "f32"})
    assert noted["gflops"] == {"generate": rate, "exam": 60.0}


def test_a_slow_processor_is_not_measured_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("instar.app.host.machine.time.perf_counter", lambda: clock[0])
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        clock[0] += 6.0

    assert machine._median_rate(work, 12.0) == 2.0
    assert len(tries) == 2  # the first starts the threads
