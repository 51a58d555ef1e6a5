"""A run keeps the engine it began with: "auto" chooses once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.config import plan
from instar.app.host import engine_choice
from instar.app.review.examine import open_engine, suite_of_run
from instar.app.sessions import session
from instar.app.weights.models import obtain
from instar.engines.native import build
from instar.engines.openvino.engine import OpenVinoEngine
from instar.errors import BudgetSpent, CannotContinue
from instar.run.progress import Screen
from tests.engines.tiny import make_model

ABLE = pytest.mark.skipif(build.why_not() is not None, reason=str(build.why_not()))
SMALL: dict[str, Any] = {
    "recipe": "rest_em", "rounds": 1, "engine_options": {"sample_precision": "f32"},
    "sizes": {"train": 8, "gate": 4, "sealed": 4},
    "solve": {"samples": 2, "sampling": {"max_tokens": 2}}, "exam": {"solve": {"sampling": {"max_tokens": 2}}},
    "keep": [], "gate": {"guarded": []},
}  # fmt: skip


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The config of a run that began with openvino, as "auto" chose where native could not run, and was stopped. The
    native engine can run here now."""
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(session, "_note_limits", lambda *_: None)
    rows = [{"question": f"what is {a} {b} ?", "answer": 7} for a in range(6) for b in range(6)]
    (tmp_path / "sevens.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    model = make_model(tmp_path / "model")
    raw = SMALL | {"model": str(model), "tasks": {"op": "jsonl", "path": str(tmp_path / "sevens.jsonl")}}
    with monkeypatch.context() as without:
        without.setattr(build, "why_not", lambda precision=None: "There is no C++ compiler.")
        go(tmp_path, raw, calls=4)
    assert answered(tmp_path) == [("openvino", 4)]
    monkeypatch.setattr(build, "why_not", lambda precision=None: None)
    return raw


def go(tmp_path: Path, raw: dict[str, Any], calls: int) -> None:
    """Run or resume until so many model calls are made."""
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(BudgetSpent):
        session.execute(plan({**raw, "budget": {"calls": calls}}), folder, Screen("silent"))


def answered(tmp_path: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(tmp_path / "runs" / "old" / "ledger.db")) as db:
        return db.execute("select engine, count(*) from journal group by engine").fetchall()


def test_a_run_that_auto_began_with_openvino_goes_on_with_openvino(begun: dict[str, Any], tmp_path: Path) -> None:
    go(tmp_path, begun, calls=7)
    assert answered(tmp_path) == [("openvino", 7)]


def test_a_run_whose_engine_is_missing_now_is_refused_in_a_sentence(
    begun: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "PACKAGES", {"openvino": "no_such_package"})
    folder = tmp_path / "runs" / "old"
    with pytest.raises(CannotContinue, match="are of the engine openvino, which does not run here: the package no_suc"):
        session.execute(plan(begun), folder, Screen("silent"))
    assert answered(tmp_path) == [("openvino", 4)]


@ABLE
def test_an_exam_of_a_run_is_asked_on_the_engine_that_answered_in_it(begun: dict[str, Any], tmp_path: Path) -> None:
    suite = suite_of_run(tmp_path / "runs" / "old")
    store = session.artefacts()
    policy = obtain(begun["model"], home=tmp_path / "home", artefacts=store, system=None, say=print)
    with open_engine(policy, suite.config, before=suite.engine) as engine:
        assert isinstance(engine, OpenVinoEngine)
    with open_engine(policy, suite.config) as engine:
        assert engine.name == "native"
