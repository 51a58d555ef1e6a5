"""What a review found: defects that showed a traceback, or a run that silently did another thing than was said."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.configs.config_file import apply_set, read
from instar.app.storage.paths import last_run
from instar.errors import ConfigError
from tests.recipes.scripted import SMALL, content, instar, run

TINY = ("rounds=1", "sizes={train=4, gate=4, sealed=4}", "engine_options.latency=0.0")

CHECKS = """
def is_right(reply, private):
    return reply.replace("sum:", "").rstrip(".").split()[-1:] == [private["answer"].removeprefix("sum:")]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def tiny(runs: Path) -> Path:
    run(runs, "tiny", *TINY)
    return runs / "tiny"


def fails(runs: Path, *args: str, code: int, **env: str) -> str:
    done = instar(*args, runs=runs, check=False, **env)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_round_without_answers_is_shown_without_a_line_for_them(runs: Path) -> None:
    found = run(
        runs, "skipping", "sizes.dev=20", "per_round=30", 'right={op="score_at_least", minimum=0.0}', recipe="full_loop"
    )
    assert "the round is skipped" in found["rounds"][0]["prediction"]["reason"]
    shown = instar("show", "skipping", runs=runs).stdout
    assert "the round is skipped" in shown
    assert "round 1: " not in shown


def test_the_users_checker_decides_in_the_exams_too_and_the_run_improves_by_it(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {i} + {i}?", "answer": f"sum:{2 * i}"}) + "\n" for i in range(260))
    )
    (tmp_path / "my_checks.py").write_text(CHECKS)
    judge = 'judge={op="verify", checker="my_checks.py:is_right"}'
    found = run(tmp_path / "runs", "mine", 'tasks={op="jsonl", path="mine.jsonl"}', judge, "exam.samples=1")
    assert found["config"]["exam"]["judge"]["checker"] == f"{tmp_path}/my_checks.py:is_right"
    assert found["sealed"]["base"] > 0
    assert found["sealed"]["gain"] > 0
    again = instar("resume", "mine", runs=tmp_path / "runs")
    assert "nothing left to do" in again.stderr  # and not: the config changed


def test_an_exams_own_judge_stays_and_a_vote_never_examines() -> None:
    def judges(recipe: str, *sets: str) -> dict[str, str]:
        done = plan(read(recipe, ["model=scripted", *sets])).resolved()
        return {k: done[k]["judge"].get("checker", "") for k in ("exam", "dev_exam") if k in done}

    assert judges("full_loop", "judge.checker=math") == {"exam": "math", "dev_exam": "math"}
    assert judges("full_loop", "judge.checker=math", "dev_exam.judge=verify") == {"exam": "math", "dev_exam": "auto"}
    assert judges("rest_em", "judge.checker=math", "exam.judge.checker=exact") == {"exam": "exact"}
    assert judges("rest_em", "judge.checker=math", "exam.solve.samples=1") == {"exam": "math"}
    assert judges("self_consistency", "judge=vote") == {"exam": "auto"}


def test_a_folder_whose_name_means_something_in_a_uri_holds_runs(tmp_path: Path) -> None:
    odd = tmp_path / "50%25 #1?mode=ro" / "runs"
    odd.mkdir(parents=True)
    run(odd, "odd", *TINY)
    assert (odd / "odd" / "ledger.db").exists()
    assert content(odd, "odd")


@pytest.mark.parametrize("name", ["", ".", "a/b", "-x", "a b", "a#b", "a?b", "x" * 101, "a\n"])
def test_a_run_is_not_given_a_name_that_could_be_read_as_something_else(runs: Path, name: str) -> None:
    from instar.app.storage.paths import new_run_folder

    with pytest.raises(ConfigError, match="cannot be a run's name"):
        new_run_folder(name, "rest_em")


def test_a_damaged_ledger_is_one_sentence_and_no_obstacle_to_an_estimate(runs: Path, tiny: Path) -> None:
    other = runs.parent / "damaged"
    shutil.copytree(tiny, other / "bad")
    raw = bytearray((other / "bad" / "ledger.db").read_bytes())
    raw[8192:] = b"\xa5" * (len(raw) - 8192)
    (other / "bad" / "ledger.db").write_bytes(raw)
    for command in ("verify", "show"):
        said = fails(other, command, "bad", code=6)
        assert len([x for x in said.splitlines() if x.startswith("instar: ")]) == 1
    assert "estimate" in instar("run", "rest_em", "--set", "model=scripted", "--dry-run", runs=other).stdout


def test_the_newest_run_is_found_when_its_mark_is_lost(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny, tmp_path / "runs" / "lost")
    (tmp_path / "runs" / "lost" / "started").unlink()
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    assert last_run().name == "lost"


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["engine_options.latencey=1"], "Did you mean 'engine_options.latency'"),
        (["engine_options.latency=slow"], "engine_options.latency: Input should be a valid number"),
        (["model=smollm2-135m", "engine=openvino", "engine_options.rows=3"], "no key 'engine_options.rows'"),
        (["model=smollm2-135m", "engine_options.nope=1"], "no key 'engine_options.nope'"),
        (["model=smollm2-135m", "engine=native", "engine_options.device=cpu"], "no key 'engine_options.device'"),
        (["model=smollm2-135m", "engine_options={rows=3, sample_precision='int8'}"], "no engine has all of these"),
        (["model=smollm2-135m", "engine_options.sample_precision=f8"], "no engine has all of these"),
        (["train.learning_rate=inf"], "train.learning_rate: a finite number is wanted, not inf"),
        (["tasks.families.chain_sum.min_terms=1979-05-27"], "chain_sum.min_terms: 1979-05-27 is a date"),
    ],
)  # fmt: skip
def test_what_could_not_be_stored_or_made_is_refused_by_the_plan(sets: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(read("rest_em", ["model=scripted", *sets]))
    assert says in refused.value.message


def test_a_file_or_folder_that_cannot_be_written_is_one_sentence(runs: Path, tiny: Path) -> None:
    small = [o for s in (*SMALL, *TINY) for o in ("--set", s)]
    said = fails(runs, "show", "tiny", "--outcomes", "/nonexistent/o.csv", code=6)
    assert said == "instar: No such file or directory: /nonexistent/o.csv\n"
    assert "instar: the folder /dev/null/x cannot be written to (Not a directory)" in fails(
        runs, "run", "rest_em", *small, code=6, INSTAR_HOME="/dev/null/x"
    )
    (runs.parent / "a_file").touch()
    assert "a_file" in fails(runs.parent / "a_file", "run", "rest_em", *small, code=6)


def test_one_setting_of_one_family_leaves_the_other_families_and_a_whole_mapping_replaces_them() -> None:
    families = plan(read("rest_em", ["tasks.families.chain_sum.max_terms=3"])).resolved()["tasks"]["families"]
    assert families["chain_sum"] == {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2}
    assert set(families) == {"chain_sum", "basic_arithmetic", "products"}
    demo = plan(read("demo", ["tasks.families.chain_sum.max_terms=3"])).resolved()["tasks"]["families"]
    assert demo == {"chain_sum": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2}}
    whole = plan(read("rest_em", ["tasks.families={gcd={}}"])).resolved()["tasks"]["families"]
    assert whole == {"gcd": {}}
    fresh: dict = {"recipe": "rest_em", "tasks": {"op": "reasoning_gym"}}
    apply_set(fresh, "tasks.families.gcd.max_num=9")
    assert fresh["tasks"]["families"] == {"gcd": {"max_num": 9}}


def test_a_base_that_stayed_has_outcomes_in_both_roles(runs: Path, tiny: Path) -> None:
    found = run(runs, "stayed", *TINY, 'right={op="not", inner="score_at_least"}')
    assert found["final"] == found["base"]
    instar("show", "stayed", "--outcomes", str(runs / "o.csv"), runs=runs)
    sealed = [r for r in csv.DictReader((runs / "o.csv").open()) if r["suite"] == "sealed"]
    assert [r["role"] for r in sealed].count("base") == [r["role"] for r in sealed].count("final") == 4


def test_an_engines_precision_is_part_of_what_a_run_is_and_its_other_options_are_not() -> None:
    def digest(*sets: str) -> str:
        return plan(read("rest_em", [f"engine_options.{s}" for s in sets])).digest()

    assert digest("cache_gb=4") == digest()
    assert digest('exam_precision="bf16"') != digest()
