"""The engine that samples is the fastest one, measured once; the one that examines never depends on the time."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.config import plan
from instar.app.host import engine_choice, speeds
from instar.app.host.machine import Beside
from instar.app.host.speeds import Speed
from instar.app.review.examine import suite_of_run
from instar.app.sessions import session
from instar.engines.native import build
from instar.errors import BudgetSpent
from instar.run.progress import Screen
from instar.store.ledger import Ledger
from tests.app.test_engine_choice import SMALL
from tests.engines.tiny import make_model

ABLE = pytest.mark.skipif(build.why_not() is not None, reason=str(build.why_not()))
PAIRS = [("native", "f32"), ("openvino", "bf16"), ("openvino", "int8")]


@pytest.mark.parametrize(
    ("rates", "taken"),
    [
        ((1000.0, 1870.0, 1950.0), ("openvino", "bf16")),  # int8 is not 15 % faster
        ((1000.0, 1500.0, 2130.0), ("openvino", "int8")),
        ((1800.0, 1870.0, 1900.0), ("native", "f32")),
        ((1000.0, None, None), ("native", "f32")),
        ((None, None, None), None),
    ],
)
def test_the_most_exact_of_the_nearly_fastest_is_taken(rates: tuple[float | None, ...], taken: Any) -> None:
    found = speeds.best([Speed(*pair, rate) for pair, rate in zip(PAIRS, rates, strict=True)])
    assert (found and (found.engine, found.precision)) == taken


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was timed; each engine is as fast as its name is long, on a quiet machine."""
    made: list[tuple[str, str]] = []

    def time(engine: str, precision: str, folder: Path) -> Speed:
        made.append((engine, precision))
        return Speed(engine, precision, 100.0 * len(engine))

    monkeypatch.setattr(speeds, "_time", time)
    monkeypatch.setattr(Beside, "quiet", lambda self: True)
    return made


def test_a_speed_is_measured_once_for_a_machine_and_a_shape(tmp_path: Path, timed: list[tuple[str, str]]) -> None:
    home, folder = tmp_path / "home", make_model(tmp_path / "model")
    assert not speeds.known(home, folder, PAIRS)
    first = speeds.measured(home, folder, PAIRS, lambda _: None)
    assert speeds.known(home, folder, PAIRS)
    assert speeds.measured(home, make_model(tmp_path / "evolved", seed=7), PAIRS, lambda _: None) == first
    assert timed == PAIRS
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 99}))
    speeds.measured(home, folder, PAIRS[:1], lambda _: None)
    assert len(timed) == 4


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_file_of_speeds_is_measured_anew(tmp_path: Path, timed: list[tuple[str, str]], text: str) -> None:
    (tmp_path / speeds.KEPT).write_text(text)
    found, quiet = speeds.measured(tmp_path, make_model(tmp_path / "model"), PAIRS, lambda _: None)
    assert [s.tokens_per_s for s in found] == [600.0, 800.0, 800.0]
    assert quiet


def test_what_was_timed_beside_other_work_is_said_and_timed_again(
    tmp_path: Path, timed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = make_model(tmp_path / "model"), []
    monkeypatch.setattr(Beside, "quiet", lambda self: False)
    assert speeds.measured(tmp_path, folder, PAIRS, said.append)[1] is False
    assert "beside other work" in said[-1]
    speeds.measured(tmp_path, folder, PAIRS, said.append)
    assert len(timed) == 6


def test_an_engine_that_cannot_be_timed_says_why_and_is_not_taken(tmp_path: Path) -> None:
    found = speeds._time("transformers", "int8", make_model(tmp_path / "model"))
    assert found.tokens_per_s is None
    assert "precision" in found.why


def test_an_engine_is_timed_on_the_very_weights(tmp_path: Path) -> None:
    assert (speeds._time("transformers", "f32", make_model(tmp_path / "model")).tokens_per_s or 0) > 0


@ABLE
@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        ({}, [("native", p) for p in build.NEEDED if build.why_not(p) is None] + PAIRS[1:]),
        ({"sample_precision": "f32"}, PAIRS[:1]),
        ({"cache_gb": 0.5}, [("native", p) for p in build.NEEDED if build.why_not(p) is None]),
    ],
)
def test_what_may_sample_has_the_options_and_tells_itself_from_the_exams(
    tmp_path: Path, options: dict[str, Any], pairs: list[tuple[str, str]]
) -> None:
    assert engine_choice.samplers(make_model(tmp_path / "model"), options, "native") == pairs


def folder_of_run(tmp_path: Path, raw: dict[str, Any], calls: int) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(BudgetSpent):
        session.execute(plan({**raw, "budget": {"calls": calls}}), folder, Screen("silent"))
    return folder


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timed: list[tuple[str, str]]) -> dict[str, Any]:
    """A small run of a tiny model."""
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(session, "_note_limits", lambda *_: None)
    rows = [{"question": f"what is {a} {b} ?", "answer": 7} for a in range(6) for b in range(6)]
    (tmp_path / "sevens.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    tasks = {"op": "jsonl", "path": str(tmp_path / "sevens.jsonl")}
    return SMALL | {"engine_options": {}, "model": str(make_model(tmp_path / "model")), "tasks": tasks}


@ABLE
def test_a_run_too_short_to_pay_for_it_is_not_measured(
    tmp_path: Path, raw: dict[str, Any], timed: list[tuple[str, str]]
) -> None:
    folder = folder_of_run(tmp_path, raw, calls=3)
    assert timed == []
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        choice = engine_choice.chosen_before(ledger)
    assert choice is not None
    assert (choice.exam, choice.sample) == ("native", "native")


@ABLE
def test_samples_are_of_the_fastest_and_exams_of_the_rules_engine_and_a_resumed_run_times_nothing(
    tmp_path: Path, raw: dict[str, Any], timed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "WORTH_MEASURING", 1)
    folder_of_run(tmp_path, raw, calls=5)
    was = list(timed)
    assert was
    (tmp_path / "home" / speeds.KEPT).unlink()  # nothing is known any more; the run's own ledger is what counts
    raw = raw | {"rounds": 1}
    monkeypatch.setattr(speeds, "_time", lambda *_: pytest.fail("a resumed run timed an engine"))
    folder = folder_of_run(tmp_path, raw, calls=13)
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        choice = engine_choice.chosen_before(ledger)
    with closing(sqlite3.connect(folder / "ledger.db")) as raw_ledger:
        by = set(raw_ledger.execute("select distinct engine, precision from journal"))
    assert choice is not None
    assert (choice.exam, choice.sample, choice.precision) == ("native", "openvino", "bf16")
    assert by <= {("openvino", "bf16"), ("native", "f32")}
    assert ("openvino", "bf16") in by
    assert suite_of_run(folder).engine == "native"
