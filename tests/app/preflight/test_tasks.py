"""Judges without what they judge by, and pools too small for the recipe: before a token is spent."""

from __future__ import annotations

import json
import re

import pytest

from tests.app.preflight.flying import Flight

BOTH = {"visible": ["assert f(1) == 1"], "hidden": ["assert f(2) == 2"]}


def code(fly: Flight, n: int = 200, **tests: object) -> str:
    """A source of programming tasks; every fifth has these tests instead of both kinds."""
    path = fly.folder / "code.jsonl"
    rows = [{"question": f"Write f number {i}.", "tests": {**BOTH, **(tests if i % 5 == 0 else {})}, "answer": "x"}
            for i in range(n)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f'tasks={{op="code_jsonl", path="{path}"}}'


def plain(fly: Flight, n: int = 200, answer: str = "") -> str:
    """A source of sums; every fifth has this answer."""
    rows = [{"question": f"What is {i} + {i}?", "answer": answer if answer and i % 5 == 0 else str(2 * i)}
            for i in range(n)]  # fmt: skip
    (fly.folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f'tasks={{op="jsonl", path="{fly.folder / "sums.jsonl"}"}}'


SUMS = 'tasks={op="reasoning_gym", families={chain_sum={}}}'


def test_self_debug_on_tasks_without_tests_is_told_of_both_kinds_of_tests_before_330_answers(fly: Flight) -> None:
    said = fly.refused("self_debug", SUMS, code=3)
    assert "1. exam.judge is 'execution', and 30 of the 30 sealed tasks have no hidden tests to execute" in said
    assert "2. correct.tests is 'execution', and 30 of the 30 sealed tasks have no visible tests" in said
    learning = fly.refused("self_debug", SUMS, "learn=true", code=3)
    for part in ("120 of the 120 gate tasks", "audit is 'execution', and 40 of the 40 train tasks"):
        assert part in learning


@pytest.mark.parametrize(
    ("recipe", "sets", "where", "of"),
    [
        ("rest_em", ['judge="execution"'], "exam.judge", "gate tasks, 30 of the 30 sealed tasks"),
        ("rest_em", ['judge="execution"'], "judge", "40 of the 40 train tasks"),
        ("rest_em", ['exam.judge="execution"'], "exam.judge", "30 of the 30 sealed tasks"),
        ("rest_em", ['attempt={op="adaptive", judge="execution", stop_after_right=1}'], "attempt.judge", "train tasks"),
        ("grpo", ['judge="execution"'], "judge", "40 of the 40 train tasks"),
        ("full_loop", ['dev_exam.judge="execution"', "sizes.dev=20", "per_round=10"], "dev_exam.judge", "20 dev tasks"),
        ("star", ['exam.judge={op="execution", tests="visible"}'], "exam.judge", "sealed tasks have no visible tests"),
    ],
)  # fmt: skip
def test_every_judge_that_runs_tests_is_held_against_the_sets_it_judges(
    fly: Flight, recipe: str, sets: list[str], where: str, of: str
) -> None:
    said = fly.refused(recipe, plain(fly, 400), *sets, code=3)
    starts = re.compile(rf"^(instar:| +\d\.) {re.escape(where)} is 'execution'")
    (line,) = [line for line in said.splitlines() if starts.match(line)]
    assert of in line
    assert "code_jsonl" in said


def test_one_task_without_visible_tests_is_a_gap_in_an_exam_and_none_in_training(fly: Flight) -> None:
    tasks = code(fly, visible=[])
    visible = '{op="execution", tests="visible"}'
    assert fly("rest_em", tasks, f"judge={visible}", "exam.judge=execution", "gate.guarded=[]", "verifier_stress=off",
               "sizes.gate=20", more=["--dry-run"]).code == 0  # fmt: skip
    said = fly.refused("rest_em", tasks, f"exam.judge={visible}", "sizes.gate=20", "gate.guarded=[]",
                       "judge=execution", code=3)  # fmt: skip
    assert "sealed tasks have no visible tests" in said
    assert "judge is 'execution', and 40 of" not in said


@pytest.mark.parametrize(
    ("checker", "answer", "says"),
    [("numeric", "a dozen", "have no gold answer that is a number"), ("reasoning_gym", "", "no item of reasoning-gym")],
)
def test_a_checker_that_cannot_use_a_gold_answer_of_an_exam_is_told(
    fly: Flight, checker: str, answer: str, says: str
) -> None:
    said = fly.refused("rest_em", plain(fly, answer=answer), f"exam.judge.checker={checker}", "sizes.gate=20", code=3)
    assert says in said
    assert "exam.judge is 'verify'" in said
    assert "my_checks.py:is_right" in said
    assert fly("rest_em", plain(fly), "exam.judge.checker=numeric", "sizes.gate=20", more=["--dry-run"]).code == 0


def test_a_checker_that_fails_its_test_is_told_by_the_dry_run_with_the_runs_own_sentence(fly: Flight) -> None:
    (fly.folder / "my_checks.py").write_text(
        "def is_right(reply):\n    return True\n\n\ndef all(reply, private):\n    return True\n"
    )
    for function, says in (("is_right", "the verifier failed its test before the run"), ("all", "an empty answer")):
        judge = f'judge="{fly.folder / "my_checks.py"}:{function}"'
        dry = fly("rest_em", plain(fly), judge, "sizes.gate=20", more=["--dry-run"])
        real = fly("rest_em", plain(fly), judge, "sizes.gate=20")
        assert (dry.code, dry.err) == (real.code, real.err)
        assert dry.code == 2
        assert says in dry.err


def test_a_pool_that_is_used_up_before_the_last_round_is_refused_with_the_numbers(fly: Flight) -> None:
    said = fly.refused("full_loop", "sizes.dev=20", "sizes.train=20", code=3)
    assert "the pool has 40 tasks (sizes.train 20 x 2 rounds), and 2 rounds of per_round 180 take 360" in said
    part = fly("full_loop", "sizes.dev=20", "sizes.train=20", "per_round=30", more=["--dry-run"])
    assert part.code == 0
    assert "# warning: the pool has 40 tasks and 2 rounds of per_round 30 take 60" in part.out
    enough = fly("full_loop", "sizes.dev=20", "sizes.train=20", "per_round=10", more=["--dry-run"])
    assert "the pool" not in enough.out


def test_a_dev_set_of_other_abilities_than_the_pool_is_refused(fly: Flight) -> None:
    files = {name: fly.rows(f"{name}.jsonl", 150, start=1000 * i, ability=ability) for i, (name, ability) in
             enumerate({"train": "sums", "dev": "words", "gate": "sums", "sealed": "sums"}.items())}  # fmt: skip
    tasks = 'tasks={op="jsonl", ' + ", ".join(f'{k}="{v}"' for k, v in files.items()) + "}"
    said = fly.refused("full_loop", tasks, "sizes.dev=20", "per_round=10", code=3)
    assert "the dev set measures words, and the pool has tasks of sums alone" in said


def test_a_file_with_too_few_distinct_rows_is_told_beside_what_else_is_wrong(fly: Flight) -> None:
    said = fly.refused("rest_em", plain(fly, 50), "exam.solve.samples=2", code=2)
    assert "sums.jsonl has 50 rows, 0 of them the same as another" in said
    assert "exam.samples is 1" in said


@pytest.mark.parametrize(
    "recipe", ["rest_em", "star", "self_consistency", "rft", "grpo", "self_refine", "critic", "constitutional"]
)
def test_every_recipe_of_ours_is_ready_as_it_is(fly: Flight, recipe: str) -> None:
    said = fly(recipe, more=["--dry-run"], common=["model=scripted"])
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("recipe", "sets"),
    [
        ("full_loop", ["sizes.dev=120"]),
        ("self_debug", ['tasks="code_basics"', "sizes.gate=20"]),
        ("demo", []),
        ("code", []),
    ],
)
def test_every_recipe_that_wants_more_and_both_presets_are_ready_with_it(
    fly: Flight, recipe: str, sets: list[str]
) -> None:
    said = fly(recipe, *sets, more=["--dry-run"], common=["model=scripted"])
    assert said.code == 0, said.err


def test_held_out_questions_that_look_like_a_training_question_are_a_warning_and_other_signs_are_not(
    fly: Flight,
) -> None:
    def rows(name: str, *questions: str) -> str:
        lines = [json.dumps({"question": q, "answer": "1"}) for q in questions]
        (fly.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        return f'{name}="{fly.folder / f"{name}.jsonl"}"'

    learned = [f"What is {i} - 3?" for i in range(40)]
    held = [
        "WHAT is 5 - 3 ?",
        "What is\u200b 6 - 3",
        "“What is 7 - 3?”",
        "What is 5 + 3?",
        "What is -5 - 3?",
        "What is 5.5 - 3?",
    ]
    files = [rows("train", *learned), rows("gate", *(f"And {i}?" for i in range(9))), rows("sealed", *held)]
    said = fly(
        "rest_em", f'tasks={{op="jsonl", {", ".join(files)}}}', "rounds=1", "sizes.train=40", "sizes.gate=9",
        "sizes.sealed=6", "gate.guarded=[]", more=["--dry-run"], common=["model=scripted"],
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "3 of the 6 sealed questions are in train too, but for capitals" in said.err + said.out
    assert "sealed.jsonl" in said.err + said.out
    assert "gate questions" not in said.err + said.out
