"""Every wrong input gets one clear sentence and an exit code, before anything stored is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instar.report.summary import summary
from instar.store.lock import WriterLock
from tests.recipes.scripted import content, instar, run, start, wait_for_work


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def refused(runs: Path, *args: str, code: int | None = None) -> str:
    """The one message of a call that must fail."""
    done = instar(*args, runs=runs, check=False)
    assert done.returncode != 0, done.stdout
    assert code is None or done.returncode == code, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("instar: ")]
    assert len(said) == 1, done.stderr
    return done.stderr


def rows(path: Path, n: int, start: int = 0) -> str:
    path.write_text("".join(json.dumps({"question": f"What is {i} + {i}?", "answer": str(2 * i)}) + "\n"
                            for i in range(start, start + n)))  # fmt: skip
    return path.name


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["judge=verifyy"], "there is no judge operator 'verifyy'. Did you mean 'verify'?"),
        (["judge=sft"], "'sft' is a update operator"),
        (["roundz=2"], "there is no key 'roundz'. Did you mean 'rounds'?"),
        (["solve.sampels=2"], "there is no key 'solve.sampels'. Did you mean 'solve.samples'?"),
        (["rounds=two"], "rounds: Input should be a valid integer"),
        (["train.learning_rate=fast"], "train.learning_rate: Input should be a valid number"),
        (["solve.sampling.temperature=-1"], "solve.sampling.temperature: Input should be greater than or equal to 0"),
        (["rounds"], "is not of the form key=value"),
        (["engine=warp"], "there is no engine 'warp'"),
        (["model=smollm3"], "smollm3"),
        (["model=/nowhere/at/all"], "/nowhere/at/all"),
        (['tasks.families={chain_sun={}}'], "chain_sum"),
        (['tasks.families={chain_sum={min_terms=5, max_terms=2}}'], "chain_sum"),
        (['judge="nothing.py:f"'], "there is no file nothing.py"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_before_anything_runs(runs: Path, sets: list[str], says: str) -> None:
    options = [o for s in ["model=scripted", *sets] for o in ("--set", s)]
    said = refused(runs, "run", "rest_em", *options)
    assert says in said
    assert not list(runs.glob("*/ledger.db")) or "model" in sets[0] or "families" in sets[0]


def test_a_missing_config_a_broken_one_and_an_unknown_target_are_refused(runs: Path, tmp_path: Path) -> None:
    assert "there is no file nothing.toml" in refused(runs, "run", "nothing.toml", code=2)
    (tmp_path / "mine.toml").touch()
    (tmp_path / "mine.jsonl").touch()
    assert "there is no file mein.toml (looked in" in (said := refused(runs, "run", "mein.toml", code=2))
    assert "Did you mean mine.toml?" in said
    assert "There is no file mein.jsonl. Did you mean mine.jsonl?" in refused(runs, "init", "mein.jsonl", code=3)
    assert "Did you mean" not in refused(runs, "init", "nothing.jsonl", code=3)
    (tmp_path / "broken.toml").write_text("rounds = [1,")
    assert "not valid TOML" in refused(runs, "run", "broken.toml", code=2)
    assert "Did you mean 'rest_em'?" in refused(runs, "run", "rest_emm", code=2)
    assert "there is no run 'ghost'" in refused(runs, "show", "ghost", code=2)
    assert "there is no run in" in refused(runs, "show", "--last", code=2)


@pytest.mark.parametrize("made", ["missing", "empty", "broken", "column", "few"])
def test_a_data_set_that_cannot_serve_is_refused(runs: Path, tmp_path: Path, made: str) -> None:
    path = tmp_path / "data.jsonl"
    says = {
        "missing": "data.jsonl", "empty": "data.jsonl", "broken": "line 2", "column": "question", "few": "40",
    }[made]  # fmt: skip
    if made == "empty":
        path.write_text("")
    if made == "broken":
        path.write_text('{"question": "a", "answer": "1"}\n{"question": \n')
    if made == "column":
        path.write_text('{"frage": "a", "answer": "1"}\n')
    if made == "few":
        rows(path, 40)
    said = refused(
        runs, "run", "rest_em", "--set", "model=scripted", "--set", 'tasks={op="jsonl", path="data.jsonl"}', code=3
    )
    assert says in said


def test_overlapping_sets_are_refused_with_an_example(runs: Path, tmp_path: Path) -> None:
    names = {n: rows(tmp_path / f"{n}.jsonl", 40, at) for n, at in (("train", 0), ("gate", 100), ("sealed", 30))}
    tasks = ", ".join(f'{k}="{v}"' for k, v in names.items())
    said = refused(
        runs, "run", "rest_em", "--set", "model=scripted", "--set", f'tasks={{op="jsonl", {tasks}}}',
        "--set", "rounds=1",
        "--set", "sizes={train=40, gate=40, sealed=40}", code=3,
    )  # fmt: skip
    assert "train" in said
    assert "sealed" in said
    assert "What is" in said


def test_too_few_distinct_tasks_are_refused_with_their_number(runs: Path) -> None:
    families = "tasks.families={products={min_terms=2, max_terms=2, min_digits=1, max_digits=1}}"
    said = refused(runs, "run", "rest_em", "--set", "model=scripted", "--set", families, code=3)
    assert "45" in said or "55" in said  # products of two digits, order apart: 45 without zero, 55 with it


def test_a_second_writer_is_refused_with_the_name_of_the_first(runs: Path) -> None:
    process = start(runs, "one", "engine_options.latency=0.2")
    wait_for_work(runs / "one")
    said = refused(runs, "resume", "one")
    assert f"process {process.pid} on" in said
    assert process.wait(timeout=120) == 0


def test_a_verifier_that_raises_hangs_or_answers_nonsense_is_data_until_it_is_too_much(
    runs: Path, tmp_path: Path
) -> None:
    bodies = {
        "raises": "raise ValueError('what is this')",
        "hangs": "import time; time.sleep(60)",
        "nonsense": "return 'certainly'",
        "dies": "import os; os._exit(3)",
    }
    reasons = {"raises": "ValueError: what is this", "hangs": "timed out", "nonsense": "'certainly'", "dies": "died"}
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(f"def check(reply, private):\n    {body}\n")
        said = refused(
            runs, "run", "rest_em", "--name", name, "--set", "model=scripted", "--set", "rounds=1",
            "--set", "sizes={train=4, gate=4, sealed=4}", "--set", "solve.samples=2",
            "--set", f'judge={{op="verify", checker="{name}.py:check", seconds=1.0}}',
            "--set", f'exam.judge={{op="verify", checker="{name}.py:check", seconds=1.0}}',
            "--set", "verifier_stress=off",  # which would say so earlier: see the next test
        )  # fmt: skip
        assert "the checker failed on every one of 8 answers" in said
        assert reasons[name] in said


def test_a_verifier_that_takes_nothing_for_right_stops_a_new_run_before_a_token_is_spent(
    runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "always.py").write_text("def check(reply, private):\n    return True\n")
    said = refused(
        runs, "run", "rest_em", "--name", "always", "--set", "model=scripted", "--set", "rounds=1",
        "--set", "sizes={train=4, gate=4, sealed=4}", "--set", "solve.samples=2",
        "--set", 'judge={op="verify", checker="always.py:check"}', code=2,
    )  # fmt: skip
    assert "the verifier failed its test before the run: an empty answer: marked right on 4 of 4 tasks" in said
    assert "--set verifier_stress=warn" in said
    shown = summary(runs / "always")
    assert shown["asked"]["calls"] == 0
    assert {p["name"] for p in shown["verifier_stress"]["probes"] if p["failed"]} >= {"an empty answer", "white space"}
    assert "failed its test" in refused(runs, "resume", "always", code=2)  # a resume is no way around it
    gone_on = instar("resume", "always", "--set", "verifier_stress=warn", runs=runs)
    assert "an empty answer: marked right on 4 of 4 tasks" in gone_on.stderr + gone_on.stdout


def test_a_gullible_verifier_is_shown_and_the_run_goes_on(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "gullible.py").write_text("def check(reply, private):\n    return private['answer'] in reply\n")
    done = instar(
        "run", "rest_em", "--set", "model=scripted", "--set", "rounds=1", "--set",
        "sizes={train=8, gate=4, sealed=4}", "--set", 'judge={op="verify", checker="gullible.py:check"}', runs=runs,
    )  # fmt: skip
    assert "verifier stress test: all options listed: marked right on 8 of 8 tasks" in done.stderr


def test_a_model_that_returns_nothing_stops_the_run_with_a_sentence(runs: Path) -> None:
    said = refused(runs, "run", "rest_em", "--set", "model=scripted", "--set", "engine_options.empty=true")
    assert "returned nothing" in said or "empty" in said


def test_a_changed_config_is_refused_with_the_flag_that_accepts_it(runs: Path) -> None:
    run(runs, "first", "budget.calls=40", check=False)
    said = refused(runs, "resume", "first", "--set", "solve.samples=3", code=7)
    assert "solve.samples was 8, is 3" in said
    assert "--accept-changes" in said


def test_a_budget_stops_cleanly_and_a_larger_one_goes_on_to_the_same_end(runs: Path) -> None:
    stopped = run(runs, "poor", "budget.calls=40", check=False)
    assert stopped["code"] == 9
    assert "budget of 40 calls is used up" in stopped["error"]
    assert "instar resume poor" in stopped["error"]
    instar("resume", "poor", "--quiet", "--set", "budget.calls=1000000", runs=runs)
    run(runs, "rich")
    assert content(runs, "poor") == content(runs, "rich")


def test_nothing_left_to_do_is_said(runs: Path) -> None:
    run(runs, "done")
    again = instar("resume", "done", runs=runs)
    assert "nothing left to do" in again.stderr


def test_a_changed_operator_is_refused_with_the_flag(runs: Path, tmp_path: Path) -> None:
    check = tmp_path / "mine.py"
    check.write_text("def check(reply, private):\n    return reply.endswith(private['answer'] + '.')\n")
    sets = [f'{k}={{op="verify", checker="mine.py:check"}}' for k in ("judge", "exam.judge")]
    assert run(runs, "mine", *sets, "budget.calls=40", check=False)["code"] == 9
    check.write_text("def check(reply, private):\n    return private['answer'] in reply\n")
    said = refused(runs, "resume", "mine", "--set", "budget.calls=99999", code=7)
    assert "'verify' changed" in said
    assert "--accept-changes" in said
    instar("resume", "mine", "--set", "budget.calls=99999", "--accept-changes", "--quiet", runs=runs)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root, which CI has")
def test_a_full_disk_stops_with_a_sentence_and_loses_nothing(runs: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)], check=True)
    try:
        said = refused(small / "runs", "run", "rest_em", "--name", "full", "--set", "model=scripted",
                       "--set", "budget.keep_free_gb=0", "--set", "rounds=1")  # fmt: skip
        assert "disk" in said
        assert "Free some space" in said
        (small / "more").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        instar("resume", "full", "--quiet", runs=small / "runs")
        whole = instar(
            "run", "rest_em", "--name", "whole", "--set", "model=scripted", "--set", "rounds=1", "--quiet", runs=runs
        )
        assert whole.returncode == 0
        assert content(small / "runs", "full") == content(runs, "whole")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_ctrl_c_leaves_a_resumable_run_and_prints_the_command(runs: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "instar.cli", "run", "rest_em", "--name", "held", "--set", "model=scripted",
         "--set", "rounds=1", "--set", "sizes.train=40", "--set", "engine_options.latency=0.05"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=runs.parent, text=True,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(runs.parent / "home")},
    )  # fmt: skip
    wait_for_work(runs / "held")
    time.sleep(1.0)
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "instar resume held" in said
    assert "Traceback" not in said
    instar("resume", "held", "--quiet", runs=runs)
    assert json.loads(instar("show", "held", "--json", runs=runs).stdout)["status"] == "finished"


def test_a_lock_left_by_a_dead_process_does_not_hold(runs: Path) -> None:
    process = start(runs, "dead", "engine_options.latency=0.2")
    wait_for_work(runs / "dead")
    process.kill()
    process.wait()
    with WriterLock(runs / "dead" / "lock"):
        pass
    shutil.rmtree(runs / "dead")


@pytest.mark.parametrize("variable", ["INSTAR_HOME", "INSTAR_RUNS"])
def test_a_place_that_cannot_be_made_is_said_before_anything_is_stored(runs: Path, variable: str) -> None:
    runs.parent.joinpath("file").write_text("in the way")
    place = str(runs.parent / "file" / "below")
    done = instar("run", "rest_em", "--set", "model=scripted", runs=runs, check=False, **{variable: place})
    assert done.returncode == 6, done.stderr
    assert f"{place} cannot be written to (Not a directory)" in done.stderr.replace("\n", " ")
    assert variable in done.stderr
    assert not list(runs.glob("*/ledger.db"))
