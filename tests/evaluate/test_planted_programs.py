"""Planted programs: execution tells them apart, and hidden tests see through what was learnt by heart."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from instar.acquire.feedback.execution import Execution
from instar.acquire.feedback.pairwise import Pairwise
from instar.acquire.tasks.code_basics import CodeBasics
from instar.evaluate.audit import PlantedDefects
from instar.evaluate.planted_programs import WRONG, by_heart, programs, reference_of
from instar.program import program_in
from instar.records import (
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    Plant,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    Worth,
)
from instar.run.auditing import _groups
from tests.acquire.test_code_tasks import humaneval, judge

AUDIT = PlantedDefects(tasks=6)


def tasks() -> list[Task]:
    made = CodeBasics(kinds=("add", "keep", "suffix"))({"train": 6}, {"train": 1})["train"]
    return [t.model_copy(update={"id": f"t{i}"}) for i, t in enumerate(made)]


def own(reference: str, visible: tuple[str, ...] = (), names: tuple[str, ...] = ("f",)) -> Task:
    return Task(
        id="t", messages=(Message(role=Role.user, content="Write f."),), ability="a", canonical="c", source="s",
        private={"tests": {"visible": list(visible), "hidden": ["assert f(9) == 16"]}, "names": list(names),
                 "answer": reference},
    )  # fmt: skip


def planted() -> list[tuple[Task, Plant]]:
    likes = [
        Experience(
            task=t,
            solution=Solution(
                id=f"s{t.id}", task=t.id, turns=(Turn(text="def f(x): return 1"),), policy="p", engine="e",
                precision="f32", sampling=Sampling(), finish=Finish.stop,
            ),
        )
        for t in tasks()
    ]  # fmt: skip
    picked = AUDIT.pick(likes)
    pairs = [(e.task, p) for e in picked for p in AUDIT.grow(e, [o for o in picked if o is not e])]
    return [(t, p.model_copy(update={"id": f"i1:{i}"})) for i, (t, p) in enumerate(pairs)]


def said_of(plants: list[tuple[Task, Plant]], judge: Execution) -> dict[str, Feedback]:
    async def all_() -> list[Feedback]:
        made = await asyncio.gather(*(judge(t, [p.shown], {}) for t, p in plants))
        return [f for (f,) in made]

    return {f.solution: f for f in asyncio.run(all_())}


def test_execution_has_precision_and_recall_of_one_and_takes_nothing_that_was_learnt_by_heart() -> None:
    plants = planted()
    found = AUDIT.assess(Execution(), None, [p for _, p in plants], said_of(plants, Execution(seconds=5)))
    assert found.numbers["precision"] == found.numbers["recall"] == found.numbers["kappa"] == 1.0
    assert (found.numbers["n"], found.numbers["wrong_reason_accepted"]) == (12, 0.0)
    assert found.counts == {"good": {"right": 6}, "bad": {"wrong": 6}, "wrong_reason": {"wrong": 6}}


def test_by_visible_tests_alone_what_was_learnt_by_heart_is_taken() -> None:
    plants = planted()
    judge = Execution(tests="visible", seconds=5)
    found = AUDIT.assess(judge, None, [p for _, p in plants], said_of(plants, judge))
    assert found.numbers["precision"] == found.numbers["recall"] == 1.0
    assert found.numbers["wrong_reason_accepted"] == 1.0


def test_an_execution_that_is_inverted_is_refused() -> None:
    plants = planted()
    other = {Mark.right: Mark.wrong, Mark.wrong: Mark.right}
    said = {i: f.model_copy(update={"mark": other[f.mark]}) for i, f in said_of(plants, Execution(seconds=5)).items()}
    found = AUDIT.assess(Execution(), None, [p for _, p in plants], said)
    assert not found.trusted
    assert found.reason.endswith("it is inverted")


def test_each_way_of_being_wrong_takes_its_turn_and_would_fool_a_runner_that_believes_the_wrong_thing(
    tmp_path: Path,
) -> None:
    reference = "def f(x):\n    return x + 7"
    replies = [programs(own(reference), reference, place)[Worth.bad] for place in range(len(WRONG))]
    ran = {}
    for make, reply in zip(WRONG, replies, strict=True):
        (tmp_path / "main.py").write_text(f"{program_in(reply)}\n\nassert f(9) == 16\n")
        done = subprocess.run([sys.executable, tmp_path / "main.py"], capture_output=True, text=True, check=False)
        ran[make.__name__] = (done.returncode, done.stdout)
    assert ran == {"idle": (1, ""), "prints_and_raises": (1, "16\n"), "exits_early": (0, "")}


@pytest.mark.parametrize(
    "answer", ["7", "x + 7", "def g(x): return 1", "def f(x) return", "", "Answer: def f(x): return x"]
)
def test_an_answer_that_is_no_program_the_tests_call_is_planted_as_any_other(answer: str) -> None:
    assert reference_of(own(answer)) is None


def test_what_can_be_learnt_by_heart_are_plain_results_of_calls_with_arguments() -> None:
    found = by_heart(own("def f(x): return x", ("assert f([1], 'a') == {'b': 2}", "assert f(3) > 1", "print(f)")))
    assert found == "def f(*given):\n    if given == ([1], 'a'):\n        return {'b': 2}\n    return None"
    for nothing in ((), ("assert f() == 3",), ("assert f(os.name) == 3",), ("assert f(",), ("assert g(1) == 1",)):
        assert by_heart(own("def f(x): return x", nothing)) is None


def test_where_nothing_can_be_learnt_by_heart_a_judge_of_pairs_is_shown_the_good_and_the_bad_alone() -> None:
    reference = "def f(x): return x + 7"
    assert set(programs(own(reference), reference, 0)) == {Worth.good, Worth.bad}
    plants = [p for _, p in planted() if p.worth is not Worth.wrong_reason][:2]
    ((shown, wanted),) = _groups(Pairwise(), plants, [])
    assert {s.id for s in shown} == wanted == {p.id for p in plants}


@pytest.mark.parametrize("each", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.nightly)])
def test_on_all_of_humaneval_execution_takes_the_good_ones_alone(tmp_path: Path, each: int) -> None:
    tasks = humaneval(tmp_path)[::each]
    replies = [
        (task, worth, text)
        for place, task in enumerate(tasks)
        for worth, text in programs(task, str(reference_of(task)), place).items()
    ]
    said = judge(*((task, text) for task, _, text in replies))
    counts = Counter((worth.value, f.mark.value) for (_, worth, _), f in zip(replies, said, strict=True))
    learnt = counts.pop(("wrong_reason", "wrong"))
    print(f"{learnt} learnt by heart")
    assert learnt > 30 / each
    assert counts == {("good", "right"): len(tasks), ("bad", "wrong"): len(tasks)}
