"""What a message says to do is done, word for word, and the run goes on: mend, resume, leave out, start again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.records import Task
from instar.store.ledger import Ledger
from tests.engines.tiny import make_model
from tests.recipes.scripted import content, instar, run, start, wait_until

CHECK = (
    "def score(reply, private):\n    return 1.0 if reply.split(' ')[-1].strip('.') == private['answer'] else {wrong}\n"
)
SMALL = ("rounds=1", "sizes={train=10, gate=30, sealed=30}", 'judge={op="verify", checker="reward.py:score"}',
         "gate.guarded=[]")  # fmt: skip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root, which CI has")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def checker(runs: Path, body: str) -> None:
    (runs.parent / "reward.py").write_text(body)


def ended(runs: Path, *args: str, code: int) -> str:
    """What a command that must end so says on standard error."""
    done = instar(*args, runs=runs, check=False)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def as_told(runs: Path, said: str, *more: str) -> str:
    """Do what the message says after "Continue with:", and nothing else."""
    (command,) = re.findall(r"Continue with: instar (.*)$", said, re.MULTILINE)
    done = instar(*shlex.split(command), "--quiet", *more, runs=runs)
    return done.stdout


def shown(runs: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(instar("show", name, "--json", runs=runs).stdout)
    return found


def test_a_reward_from_minus_one_to_one_stops_before_a_token_and_burns_no_name(runs: Path) -> None:
    checker(runs, CHECK.format(wrong="-1.0"))
    first = run(runs, "one", *SMALL, check=False)
    assert first["code"] == 2
    assert "the checker returned -1.0, not a number from 0 to 1" in first["error"]
    assert "(r + 1) / 2" in first["error"]
    assert shown(runs, "one")["asked"]["calls"] == 0
    checker(runs, CHECK.format(wrong="0.0"))
    assert run(runs, "one", *SMALL)["status"] == "finished"  # the same command once more
    content(runs, "one")
    said = ended(runs, "run", "rest_em", "--name", "one", "--set", "model=scripted", code=2)
    assert "the run 'one' exists already" in said
    assert "nothing left to do" in instar("resume", "one", runs=runs).stderr


def test_an_exam_that_a_checker_could_not_score_is_scored_once_it_is_mended(runs: Path) -> None:
    checker(runs, CHECK.format(wrong="-1.0"))
    first = run(runs, "mend", *SMALL, "verifier_stress=warn", check=False)
    assert first["code"] == 8
    assert "exams accept no gap" in first["error"]
    asked = shown(runs, "mend")["asked"]["calls"]
    checker(runs, CHECK.format(wrong="0.0"))
    changed = ended(runs, "resume", "mend", code=7)
    assert "the source of 'verify' changed" in changed
    as_told(runs, changed)
    found = shown(runs, "mend")
    assert found["status"] == "finished"
    assert asked < found["asked"]["calls"] < 2 * asked + 100  # what was answered was not asked again
    assert found["made_again"][0]["reason"].startswith("the checker returned -1.0")
    assert not [p for p in found["verifier_stress"]["probes"] if p["outside"]]  # tested again after the mending
    assert "were made again" in instar("show", "mend", runs=runs).stdout
    content(runs, "mend")


def test_the_stop_of_a_check_that_broke_on_everything_says_what_to_type(runs: Path) -> None:
    checker(runs, "def score(reply, private):\n    raise ValueError('no such thing')\n")
    first = run(runs, "all", *SMALL, "verifier_stress=off", check=False)
    assert first["code"] == 8
    assert "the checker failed on every one of 80 answers" in first["error"]
    checker(runs, CHECK.format(wrong="0.0"))
    as_told(runs, first["error"])
    assert shown(runs, "all")["status"] == "finished"
    content(runs, "all")


def test_a_task_that_cannot_be_judged_is_left_out_for_every_policy_as_the_message_says(runs: Path) -> None:
    body = CHECK.format(wrong="0.0")
    checker(runs, body)
    with_all = run(runs, "whole", *SMALL, "control=true")
    ledger = Ledger.read(runs / "whole" / "ledger.db")
    (broken,) = (t for t in ledger.records(ids=ledger.sets()["sealed"][:1]) if isinstance(t, Task))
    ledger.close()
    head, rest = body.split("\n", 1)
    breaks = (
        f"    if private.get('question_digest') == {broken.private['question_digest']!r}:\n        raise KeyError()"
    )
    checker(runs, "\n".join((head, breaks, rest)))
    first = run(runs, "less", *SMALL, "control=true", check=False)
    assert first["code"] == 8, first["error"]
    (task,) = re.findall(r'--without (\S+)="why"', first["error"])
    assert task == broken.id
    as_told(runs, first["error"], "--without", f"{task}=its gold answer is broken")
    found = shown(runs, "less")
    assert found["sealed"]["n"] == with_all["sealed"]["n"] - 1
    assert found["left_out"] == [
        {"task": task, "set": "sealed", "reason": "left out by hand: its gold answer is broken"}
    ]  # fmt: skip
    assert "left out of the sealed set, for every policy" in instar("show", "less", runs=runs).stdout
    items = runs.parent / "items.jsonl"
    instar("show", "less", "--outcomes", str(items), runs=runs)
    assert task not in items.read_text()
    content(runs, "less")
    assert "its exam stands" in ended(runs, "resume", "less", "--without", f"{task}=again", code=2)
    instar("report", "less", "-o", str(runs.parent / "page.html"), runs=runs)
    assert "A task was left out of the sealed set" in (runs.parent / "page.html").read_text()


def test_a_start_that_failed_is_no_obstacle_to_the_next_and_a_resume_works_too(runs: Path) -> None:
    sets = [o for s in ("model=./model", *SMALL[:2]) for o in ("--set", s)]
    said = ended(runs, "run", "rest_em", "--name", "x", *sets, code=4)
    assert "There is no model or folder" in said
    assert run(runs, "x", "rounds=1")["status"] == "finished"
    content(runs, "x")
    run(runs, "clean", "rounds=1")
    assert content(runs, "x") == content(runs, "clean")
    ended(runs, "run", "rest_em", "--name", "y", *sets, code=4)
    assert "there is no run 'y'" in ended(runs, "resume", "y", code=2)  # it was found before there was one


def test_a_run_with_work_is_never_started_over(runs: Path) -> None:
    assert run(runs, "kept", "budget.calls=10", check=False)["code"] == 9
    asked = shown(runs, "kept")["asked"]["calls"]
    said = ended(runs, "run", "rest_em", "--name", "kept", "--set", "model=scripted", code=2)
    assert "Continue it with: instar resume kept" in said
    assert shown(runs, "kept")["asked"]["calls"] == asked > 0


@pytest.mark.parametrize(("what", "little"), [("calls", "10"), ("tokens", "500"), ("seconds", "0.001")])
def test_a_budget_that_is_raised_as_the_message_says_goes_on(runs: Path, what: str, little: str) -> None:
    first = run(runs, "poor", "rounds=1", f"budget.{what}={little}", check=False)
    assert first["code"] == 9
    assert f"raise it with --set budget.{what}=... and resume" in first["error"]
    as_told(runs, first["error"], "--set", f"budget.{what}=1000000")
    assert shown(runs, "poor")["status"] == "finished"


def test_an_error_after_which_the_run_would_fail_again_says_to_start_a_new_one(runs: Path) -> None:
    first = run(runs, "mute", "engine_options.empty=true", check=False)
    assert "start a new run" in first["error"]
    assert "Continue with" not in first["error"]


def test_a_judge_that_was_refused_goes_on_as_its_message_says(runs: Path) -> None:
    sets = (
        "rounds=1", "judge_model=scripted:judge=0.8", "audit_with.kappa_at_least=0.99",
        'judge={op="rubric", samples=1, sampling={temperature=0.0, max_tokens=60}}',
    )  # fmt: skip
    first = run(runs, "refused", *sets, check=False)
    assert first["code"] == 11, first["error"]
    assert "move audit_with.kappa_at_least" in first["error"]
    as_told(runs, first["error"], "--set", "audit_with.kappa_at_least=0")
    assert shown(runs, "refused")["status"] == "finished"
    content(runs, "refused")


def test_a_notebook_can_do_the_same(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instar.cli.notebook import open_run
    from instar.errors import CannotContinue

    checker(runs, CHECK.format(wrong="-1.0"))
    assert run(runs, "book", *SMALL, "verifier_stress=warn", check=False)["code"] == 8
    checker(runs, CHECK.format(wrong="0.0"))
    monkeypatch.setenv("INSTAR_RUNS", str(runs))
    monkeypatch.setenv("INSTAR_HOME", str(runs.parent / "home"))
    monkeypatch.chdir(runs.parent)
    with pytest.raises(CannotContinue) as changed:
        open_run("book").resume(quiet=True)
    (told,) = re.findall(r"Go on with: instar\.open_run\('book'\)\.resume\((.*)\)$", changed.value.hint)
    assert told == "accept_changes=True"
    assert open_run("book").resume(quiet=True, accept_changes=True).status == "finished"


@pytest.fixture
def medium(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "medium"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@needs_root
def test_runs_on_a_read_only_medium_are_read_finished_and_killed_ones(runs: Path, medium: Path, tmp_path: Path) -> None:
    run(runs, "done", "rounds=1")
    process = start(runs, "killed", "engine_options.latency=0.02")
    wait_until(lambda: (runs / "killed" / "ledger.db-wal").exists() and _asked(runs / "killed" / "ledger.db") > 20)
    process.kill()
    process.wait()
    before = content(runs, "killed")  # as it is read where it can be written to
    asked = shown(runs, "killed")["asked"]
    shutil.copytree(runs, medium / "runs")
    subprocess.run(["mount", "-o", "remount,ro", str(medium)], check=True)
    there = medium / "runs"
    calls: list[list[str]] = [["show"], ["verify"], ["why", "--run"], ["report", "-o", str(tmp_path / "page.html")]]
    for name in ("done", "killed"):
        for call in calls:
            if name == "killed" and call[0] == "why":
                continue  # it trained on nothing yet
            at = [call[0], *call[1:], name] if call[-1] == "--run" else [call[0], name, *call[1:]]
            done = instar(*at, runs=there, cwd=tmp_path, INSTAR_HOME=str(tmp_path / "home"))
            assert done.stdout
    status = json.loads(instar("show", "killed", "--json", runs=there, cwd=tmp_path).stdout)
    assert status["status"] == "killed"
    assert status["asked"] == asked
    read = json.loads(instar("verify", "killed", "--json", runs=there, cwd=tmp_path).stdout)
    assert {k: read[k] for k in ("run", "wrong", "content")} == {"run": "killed", "wrong": [], "content": before}
    instar("compare", "done", runs=there, cwd=tmp_path)
    assert "killed is not finished" in instar("gc", runs=there, cwd=tmp_path).stdout


def _asked(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            return int(raw.execute("select count(*) from journal").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # it is only being made


@needs_root
def test_a_full_home_is_one_sentence_that_names_it_and_the_start_can_be_made_again(
    runs: Path, tmp_path: Path, medium: Path
) -> None:
    model = make_model(tmp_path / "model", intermediate_size=20_000)
    assert (model / "model.safetensors").stat().st_size > 24 * 2**20
    args = ("run", "rest_em", "--name", "full", "--set", "model=./model", "--set", "rounds=1")
    args += ("--set", "budget.keep_free_gb=0.0", "--set", "budget.calls=1")
    done = instar(*args, runs=runs, check=False, INSTAR_HOME=str(medium / "home"))
    assert done.returncode == 6, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("instar: ")]
    assert len(said) == 1
    assert said[0].startswith(f"instar: the disk of {medium}/home "), done.stderr
    subprocess.run(["mount", "-o", "remount,size=4g", str(medium)], check=True)
    again = instar(*args, runs=runs, check=False, INSTAR_HOME=str(medium / "home"))
    assert "exists already" not in again.stderr
    assert "full" not in again.stderr.replace("run full", "").replace("resume full", "")
    assert list((medium / "home" / "artefacts").glob("*/*/model.safetensors"))
