"""Trackers hear what the ledger says, once; they are told so by their own libraries, and no run waits for them.

TensorBoard, W&B (offline) and MLflow are the real libraries. Trackio cannot be installed beside the pinned Pillow, so
its adapter is tested against a stand-in with the signatures of trackio 0.43 (docs/log/2026-11-22-trackers.md).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from instar.app.configs.config import plan
from instar.errors import ConfigError
from instar.store.ledger import Ledger
from instar.track import following
from instar.track.following import NOTES, Following
from instar.track.points import cleaned, points
from instar.track.settings import Tracking, installed, known
from instar.track.tracker import Point, Told
from tests.recipes.scripted import SMALL, instar, run, start, wait_until
from tests.track import stores

REAL = "track=tensorboard,wandb,mlflow"


def told_of(runs: Path, name: str) -> dict[str, stores.Seen]:
    track = runs / "track"
    return {
        "tensorboard": stores.tensorboard(track / "tensorboard" / name),
        "wandb": stores.wandb(track / "wandb"),
        "mlflow": stores.mlflow(track / "mlflow.db"),
    }


def final_points(folder: Path) -> list[Point]:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return points(ledger, lambda digest: folder / "nowhere" / digest)
    finally:
        ledger.close()


def agree(seen: stores.Seen, folder: Path) -> None:
    """Exactly the points of the finished ledger, each once. An event file holds single precision."""
    expected = {(p.name, p.step): p.value for p in final_points(folder)}
    assert len({(k, s) for k, s, _ in seen}) == len(seen), "a point is there twice"
    assert {(k, s) for k, s, _ in seen} == set(expected)
    for k, s, v in seen:
        assert v == pytest.approx(expected[k, s], rel=1e-6), k


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    runs = tmp_path_factory.mktemp("tracked") / "runs"
    return runs, run(runs, "one", REAL, "sizes.dev=12")


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_each_tracker_holds_every_figure_of_the_run_once(tracked: tuple[Path, dict[str, Any]], name: str) -> None:
    runs, said = tracked
    seen = told_of(runs, "one")[name]
    agree(seen, runs / "one")
    values = {(k, s): v for k, s, v in seen}
    assert values["sealed/gain", 2] == pytest.approx(said["sealed"]["gain"])
    assert values["sealed/low", 2] == pytest.approx(said["sealed"]["low"])
    for r in said["rounds"]:
        n = r["round"]
        assert values["yield/solutions", n] == r["solutions"] == 240
        assert values["yield/right", n] + values["yield/wrong", n] == 240  # planted answers are not counted
        assert values["gate/promoted", n] == r["gate"]["promoted"]
        last = list(r["filters"].values())[-1]
        assert values["kept/share", n] == pytest.approx(last["kept"] / r["solutions"])
        assert values["gate/low", n] <= values["gate/gain", n] <= values["gate/high", n]
    assert values["dev/score_low", 0] <= values["dev/score", 0] <= values["dev/score_high", 0]
    assert values["seconds/exam", 2] == pytest.approx(said["seconds"]["exam"], rel=0.01)
    assert sum(v for (k, _), v in values.items() if k == "asked/calls") < said["asked"]["calls"]  # exams are apart


@pytest.mark.slow
def test_a_run_killed_in_the_middle_and_resumed_sends_no_figure_twice(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    slow = (*SMALL, "engine_options.latency=0.8", "rounds=4", "track=tensorboard,wandb", "sizes.dev=12")
    process = start(runs, "one", *slow)
    notes = runs / "one" / NOTES

    def all_were_told() -> bool:
        own = json.loads(notes.read_text())["trackers"] if notes.exists() else {}
        return len(own) == 2 and all(x["before"] and "sending" not in x for x in own.values())

    try:
        wait_until(lambda: all_were_told() or process.poll() is not None)
        assert process.poll() is None, "it was over before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "result" not in _about(runs / "one")
    instar("resume", "one", "--quiet", "--set", "engine_options.latency=0", runs=runs)
    agree(stores.tensorboard(runs / "track" / "tensorboard" / "one"), runs / "one")
    agree(stores.wandb(runs / "track" / "wandb"), runs / "one")


def test_a_figure_that_is_sent_to_mlflow_again_takes_its_own_place(tmp_path: Path) -> None:
    from instar.track.mlflow import opened

    told = Told("one", "abc", "instar", tmp_path, {"recipe": "rest_em"}, {"instar": "0.1"})
    sent = [Point("dev/score", 0, 0.5, 100.25), Point("dev/score", 1, 0.6, 101.5)]
    for _ in range(2):  # as a session that was killed, and the next
        tracker = opened(told, Tracking())
        tracker.send(sent, 0)
        tracker.close()
    assert stores.mlflow(tmp_path / "mlflow.db") == [("dev/score", 0, 0.5), ("dev/score", 1, 0.6)]


def _about(folder: Path) -> dict[str, str]:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return ledger.about()
    finally:
        ledger.close()


def test_a_tracker_that_cannot_write_is_one_line_and_the_run_ends_as_ever(
    tracked: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runs, blocked = tmp_path / "runs", tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    sets = [*SMALL, "sizes.dev=12", "track=tensorboard", f"tracking.folder={blocked}"]
    options = [o for s in sets for o in ("--set", s)]
    done = instar("run", "rest_em", "--name", "one", *options, runs=runs)
    assert [x for x in done.stderr.splitlines() if "tracker" in x] == [
        x for x in done.stderr.splitlines() if x.startswith("the tracker tensorboard stopped, the run goes on: ")
    ]
    assert done.stderr.count("the tracker tensorboard stopped") == 1
    assert "Traceback" not in done.stderr
    assert json.loads(instar("show", "one", "--json", runs=runs).stdout)["sealed"] == tracked[1]["sealed"]
    # a finished run tells a tracker that failed, or was added later
    instar("resume", "one", "--set", f"tracking.folder={tmp_path / 'free'}", runs=runs)
    agree(stores.tensorboard(tmp_path / "free" / "tensorboard" / "one"), runs / "one")


def test_a_tracker_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    said = run(tmp_path / "runs", "one", "track=tensorbord", check=False)
    assert said["code"] == 2
    assert "Did you mean 'tensorboard'?" in said["error"]
    assert not (tmp_path / "runs" / "one").exists()


def test_a_tracker_that_is_not_installed_is_refused_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("instar.track.settings.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs mlflow and alembic, which is not installed.*'instar\[mlflow\]'"):
        installed(["mlflow"])
    installed([])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("none", ()), ("", ()), ([], ()), ("wandb", ("wandb",)), ("wandb, mlflow", ("wandb", "mlflow")),
        (["tensorboard"], ("tensorboard",)),
    ],
)  # fmt: skip
def test_trackers_are_named_in_a_list_or_in_one_text(said: object, meant: tuple[str, ...]) -> None:
    assert plan({"recipe": "rest_em", "track": said}).run.track == meant


def test_no_tracker_is_the_default_and_tracking_changes_nothing_that_a_run_is_made_of() -> None:
    off, on = plan({"recipe": "rest_em"}), plan({"recipe": "rest_em", "track": "wandb", "tracking": {"project": "x"}})
    assert off.run.track == ()
    assert off.digest() == on.digest()
    with pytest.raises(ConfigError, match="twice"):
        known(["wandb", "wandb"])


def test_an_abilitys_name_is_made_one_that_every_tracker_takes() -> None:
    assert cleaned("dev/<b>|ä\n/score") == "dev/_b____/score"


class Kept:
    """A tracker that keeps what it is sent."""

    replaces: ClassVar[bool] = True

    def __init__(self, seen: list[Point]) -> None:
        self.seen = seen

    def send(self, points: Sequence[Point], before: int) -> None:
        self.seen += points

    def close(self) -> None:
        pass


class Appending(Kept):
    replaces: ClassVar[bool] = False


@pytest.mark.parametrize(("kind", "again"), [(Kept, True), (Appending, False)])
def test_figures_on_their_way_when_a_run_was_killed_are_sent_again_only_where_they_take_their_own_place(
    tracked: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Kept], again: bool
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "ledger.db").write_bytes((tracked[0] / "one" / "ledger.db").read_bytes())
    cut = final_points(folder)[:5]
    notes = {"id": "x", "trackers": {"tensorboard": {"sent": {}, "before": 0, "sending": [list(p) for p in cut]}}}
    (folder / NOTES).write_text(json.dumps(notes))
    seen: list[Point] = []
    said: list[str] = []
    monkeypatch.setattr(following, "opened", lambda *_: kind(seen))
    follow(folder, said.append)
    assert (set(cut) <= set(seen)) is again
    assert set(seen) | set(cut) == set(final_points(folder))
    assert len(seen) == len(set(seen))
    assert ("may be missing" in " ".join(said)) is not again
    before = len(seen)
    follow(folder, said.append)  # once more: there is nothing left to send
    assert len(seen) == before


def follow(folder: Path, say: Callable[[str], None]) -> None:
    f = Following(folder, ["tensorboard"], Tracking(), lambda digest: folder, say)
    f.start()
    f.close()


def test_the_end_of_a_session_does_not_wait_for_a_tracker_that_hangs(
    tracked: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Hanging(Kept):
        def send(self, points: Sequence[Point], before: int) -> None:
            time.sleep(3)

    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "ledger.db").write_bytes((tracked[0] / "one" / "ledger.db").read_bytes())
    said: list[str] = []
    monkeypatch.setattr(following, "PATIENCE", 0.3)
    monkeypatch.setattr(following, "opened", lambda *_: Hanging([]))
    began = time.monotonic()
    follow(folder, said.append)
    assert time.monotonic() - began < 2
    assert "did not answer" in said[0]


def test_the_loss_of_every_training_step_is_told_over_all_rounds(tmp_path: Path) -> None:
    from instar.records import Policy, Weights
    from instar.store.ledger import Made

    ledger = Ledger(tmp_path / "ledger.db")
    ledger.set_about(resolved=json.dumps({"rounds": 2}))
    for r, losses in ((1, [3.0, 2.0]), (2, [1.5])):
        (tmp_path / str(r)).mkdir()
        (tmp_path / str(r) / "training.json").write_text(json.dumps({"losses": losses}))
        policy = Policy(weights=Weights(place="artefact", digest=str(r))).identified()
        ledger.add_records([Made(policy, "i1:op", r, 0)])
    found = [(p.name, p.step, p.value) for p in points(ledger, lambda digest: tmp_path / digest)]
    ledger.close()
    assert found == [("training/loss", 1, 3.0), ("training/loss", 2, 2.0), ("training/loss", 3, 1.5)]


def test_trackios_adapter_logs_rows_by_step_locally_without_the_machines_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a stand-in with trackio 0.43's signatures, not the library: see the module's first lines."""
    logged: list[tuple[dict[str, float], int]] = []
    given: dict[str, Any] = {}

    def init(project: str, name: str, config: dict[str, Any], resume: str, embed: bool, **auto_log: bool) -> Any:
        print("* Trackio project initialized")
        given.update(config=config, resume=resume, embed=embed, **auto_log)
        log = lambda metrics, step=None: logged.append((metrics, step))  # noqa: E731
        return types.SimpleNamespace(log=log, finish=lambda: print("* Run finished"))

    monkeypatch.setitem(sys.modules, "trackio", types.SimpleNamespace(init=init))  # type: ignore[arg-type]
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    from instar.track.trackio import opened

    tracker = opened(Told("one", "abc", "instar", tmp_path, {"seed": "1"}, {"instar": "0.1"}), Tracking())
    monkeypatch.setenv("TRACKIO_DIR", os.environ["TRACKIO_DIR"])  # so that it is taken back after the test
    tracker.send(
        [Point("dev/score", 0, 0.5, 1.0), Point("dev/score", 1, 0.6, 2.0), Point("training/loss", 1, 3.0, 2.0)], 0
    )
    tracker.close()
    assert logged == [({"dev/score": 0.5}, 0), ({"dev/score": 0.6}, 1), ({"training/loss": 3.0}, 1)]
    assert (given["resume"], given["auto_log_gpu"], given["auto_log_cpu"], given["embed"]) == (
        "allow",
        False,
        False,
        False,
    )
    assert given["config"] == {"seed": "1", "version.instar": "0.1"}
    assert os.environ["TRACKIO_DIR"] == str(tmp_path / "trackio")
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert capsys.readouterr().out == ""
