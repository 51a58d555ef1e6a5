"""The Python functions: the same as the command line in as few lines, inside an event loop too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import instar
from instar.errors import Cancelled, CannotContinue, ConfigError

SIZES = {"train": 12, "gate": 20, "sealed": 20}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))


def test_a_run_in_one_line_shows_itself_and_can_be_opened_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    run = instar.run("rest_em", "train.epochs=1", model="scripted", rounds=1, sizes=SIZES, name="mine", quiet=True)
    assert run.status == "finished"
    assert run.sealed is not None
    assert run.sealed["n"] == 20
    run.show()
    assert "sealed exam" in capsys.readouterr().out
    page = run._repr_html_()
    assert page.startswith("<pre")
    assert "sealed exam" in page
    again = instar.open_run("mine")
    assert again.summary == run.summary
    assert instar.open_run().name == "mine"
    assert "mine" in repr(again)
    assert instar.compare(run).figures["gain"] == run.sealed["gain"]
    assert instar.examine("mine", on=run, quiet=True).metrics["mean@1"].value == run.sealed["final"]
    assert {r["role"] for r in run.outcomes} >= {"base", "final"} or run.summary["base"] == run.summary["final"]
    assert run.why(run.summary["base"])[0].startswith("This policy is where the run began")
    made = run.report(run.folder / "report.html")
    assert "<!doctype html>" in made.read_text(encoding="utf-8").lower()[:40]


def test_the_live_page_pairs_two_runs_and_says_why_when_it_cannot() -> None:
    from instar.cli.ui import _paired

    for name in ("one", "two"):
        instar.run("rest_em", model="scripted", rounds=1, sizes=SIZES, name=name, quiet=True)
    found = _paired("one", "two")
    assert found["n"] == 20
    assert found["low"] <= found["gain"] <= found["high"]
    assert "ghost" in _paired("one", "ghost")["refusal"]


def test_it_works_inside_a_running_event_loop_as_notebooks_have_one() -> None:
    async def cell() -> str:
        return instar.run("rest_em", model="scripted", rounds=1, sizes=SIZES, quiet=True).status

    assert asyncio.run(cell()) == "finished"


def test_interrupting_the_cell_stops_the_run_which_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    join, calls = threading.Thread.join, []

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        if self.name == "instar-run" and not calls:
            calls.append(1)
            raise KeyboardInterrupt
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(Cancelled) as e:
        instar.run(
            "rest_em", model="scripted", rounds=1, sizes=SIZES, name="cut", quiet=True,
            engine_options={"latency": 0.3},
        )  # fmt: skip
    assert "instar.open_run('cut').resume()" in e.value.hint
    assert instar.open_run("cut").status == "stopped"
    assert instar.open_run("cut").sealed is None
    assert instar.open_run("cut").resume(quiet=True).status == "finished"


def test_wrong_settings_are_refused_as_on_the_command_line() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'rounds'"):
        instar.run("rest_em", roundz=2)
    with pytest.raises(ConfigError, match="there is no run 'x'"):
        instar.open_run("x")
    with pytest.raises(AttributeError, match="no attribute 'ruin'"):
        instar.ruin  # type: ignore[attr-defined]  # noqa: B018 - the point


def test_runs_of_other_exams_are_not_compared() -> None:
    a = instar.run("rest_em", model="scripted", rounds=1, sizes=SIZES, quiet=True)
    b = instar.run("rest_em", model="scripted", rounds=1, sizes=SIZES, sealed_seed=5, quiet=True)
    with pytest.raises(CannotContinue, match="different exams"):
        instar.compare(a, b)


def test_what_a_user_wrote_is_escaped_in_the_page(tmp_path: Path) -> None:
    from instar.cli.notebook import OpenRun

    run = instar.run("rest_em", model="scripted", rounds=1, sizes=SIZES, quiet=True)
    found = run.summary
    figures = next(iter(found["sealed"]["abilities"].values()))
    found["sealed"]["abilities"] = {"<script>alert(1)</script>": figures, "other": figures}
    page = OpenRun._repr_html_(run)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_importing_instar_loads_nothing_of_it_and_run_is_package_and_function() -> None:
    code = (
        "import instar, sys; assert not [m for m in sys.modules if m.startswith('instar.')], 'loaded'\n"
        "import instar.run.run as r; assert callable(instar.run) and r.Run\n"
        "from instar import run, open_run; assert callable(run) and callable(open_run)\n"
        "assert set(instar.__all__) <= set(dir(instar))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
