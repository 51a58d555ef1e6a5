"""The village with everything in it: kinds of questions, sets that share no fact and no relation, tools of no use,
questions that others wrote, and what a habit is worth."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from instar.acquire.environments.floor import best_constant, floor
from instar.acquire.environments.multi_hop import RELATIONS
from instar.acquire.environments.village import LIBRARY, Posing, Village, ages, route
from instar.acquire.feedback.pool import shared
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError
from instar.protocols import Moved
from instar.records import Task

WANTED = {"train": 24, "gate": 24, "sealed": 24}
SEEDS = {"train": 1, "gate": 2, "sealed": 3}
ALL = Village(least=1, hops=3, sums=True)


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    shared().close()


def course(environment: Village, task: Task, *actions: str) -> list[Moved]:
    episode = environment.episode()
    moves = [Moved(episode.reset(task.private))]
    for action in actions:
        moves.append(episode.step(action))
    return moves


def test_each_kind_of_question_is_drawn_as_often_and_its_route_answers_it() -> None:
    tasks = ALL(WANTED, SEEDS)["gate"]
    assert Counter(t.ability for t in tasks) == {f"{n}_hops{s}": 4 for n in (1, 2, 3) for s in ("", "_and_sum")}
    assert {t.difficulty for t in tasks} == {1.0, 2.0, 3.0}
    for t in tasks:
        moves = course(ALL, t, *route(t))
        assert moves[-1] == Moved("Right.", True, 1.0)
        assert all(not m.done for m in moves[:-1])
        assert t.private["answer"] not in t.question
    (asked,) = [t for t in tasks if t.ability == "3_hops_and_sum"][:1]
    assert sum("age" in a for a in route(asked)) == 2
    assert route(asked)[-2].startswith("calculator[")
    assert course(ALL, asked, *route(asked))[-2].observation == asked.private["answer"]


def test_the_sets_share_no_question_and_the_exams_no_relation_with_train() -> None:
    sets = ALL(WANTED, SEEDS)
    assert prove_disjoint(sets) == WANTED
    assert sets == ALL(WANTED, SEEDS)
    used = {name: {r for t in tasks for r in re.findall(r"the (\w+) of ", t.question)} for name, tasks in sets.items()}
    assert used["train"] <= set(RELATIONS[:-6])
    assert used["gate"] | used["sealed"] <= set(RELATIONS[-6:])
    easy = Village(hops=2, train_hops=1)(WANTED, SEEDS)
    assert {t.ability for t in easy["train"]} == {"1_hops"}
    assert {t.ability for t in easy["sealed"]} == {"2_hops"}


def test_more_questions_than_there_are_and_settings_that_cannot_be_are_refused() -> None:
    small = Village(people=5, hops=1, held_out=1)
    assert (small.space("gate"), small.space("train")) == (5, 75)
    assert Village(people=5, hops=2, least=1, held_out=1, sums=True).space("train") == 5 * (15 + 225) * 2
    with pytest.raises(DataError, match="village has 5 questions over 5 people for the gate set"):
        small({"gate": 3}, SEEDS)
    with pytest.raises(ValidationError, match="take 6 steps: set steps higher"):
        Village(hops=2, steps=5, sums=True)
    with pytest.raises(ValidationError, match="there is no tool 'hammer'"):
        Village(tools=("lookup", "hammer"))
    with pytest.raises(ValidationError, match="least is 3"):
        Village(least=3)


def test_tools_say_what_they_know_and_one_that_was_not_chosen_is_not_there() -> None:
    (task,) = Village()({"train": 1}, SEEDS)["train"]
    name = route(task)[0].removeprefix("lookup[").partition(",")[0]
    old = ages(str(task.private["village"]), 60)[name]
    said = course(
        Village(), task, "what?", f"lookup[{name}, age]", "calculator[7 * 6]", "weather[Oslo]", "calculator[x]",
        f"search[{name}]", "lookup[Nobody, mother]", f"lookup[{name}, shoe]",
    )  # fmt: skip
    assert [m.observation for m in said[:5]] == [
        "You have 8 steps.", f"Say one of {', '.join(f'{t}[...]' for t in LIBRARY)}.",
        f"The age of {name} is {old}.", "42", "It says nothing of that.",
    ]  # fmt: skip
    assert said[5].observation.startswith("error:")
    assert said[6].observation == f"{name}: {', '.join(RELATIONS)}."
    assert [m.observation for m in said[7:]] == ["Nobody is called 'Nobody'.", "Nothing is known of 'shoe'."]
    assert said[-1].done  # its eighth step
    few = Village(tools=("search",))
    there = course(few, task, route(task)[0], f"finish[{task.private['answer']}]")
    assert [m.observation for m in there[1:]] == ["There is no tool lookup here.", "Right."]


def test_a_question_that_somebody_wrote_is_taken_where_it_can_be_answered_and_learned_from() -> None:
    environment = Village()
    assert isinstance(environment, Posing)
    sets = environment(WANTED, SEEDS)
    like, person = sets["train"][0], environment.about(sets["train"][0].private)[3]
    posed = environment.posed(f" Who is the mother of the baker of {person}?", like.private)
    assert posed is not None
    assert course(environment, posed, *route(posed))[-1].score == 1.0
    assert environment.posed(like.question, like.private) == like  # the same task, not another of the same words
    assert environment.posed(f"How old are the boss of {person} and {person} together?", like.private) is not None
    for refused in (
        f"Who is the {RELATIONS[-1]} of {person}?",  # held out
        "Who is the mother of Nobody Here?",
        f"Who is the shoe of {person}?",
        f"Who is the mother of {person} and {person} together?",
        f"How old are the mother of {person}?",
        f"Who is {'the mother of ' * 6}{person}?",
        f"Who is the mother of {person}? Ignore this.",
        "",
    ):
        assert environment.posed(refused, like.private) is None, refused
    short = {**like.private, "steps": 3}
    assert environment.posed(f"Who is the mother of the baker of {person}?", short) is not None
    assert environment.posed(f"How old are the boss of {person} and {person} together?", short) is None  # five looks


def test_what_luck_and_habit_get_is_near_nothing_and_a_habit_that_pays_is_found() -> None:
    environment = Village(people=8)
    tasks = environment({"gate": 12}, SEEDS)["gate"]
    lucky = asyncio.run(floor(environment, tasks, turns=8))
    assert lucky is not None
    assert lucky <= 0.5
    found = asyncio.run(best_constant(environment, tasks))
    most = Counter(f"finish[{t.private['answer']}]" for t in tasks).most_common(1)[0]
    assert found is not None
    assert (found[1], most[1]) == (most[1] / len(tasks), most[1])
    alike = [t for t in tasks if f"finish[{t.private['answer']}]" == most[0]]
    assert asyncio.run(best_constant(environment, alike)) == (most[0], 1.0)
    assert asyncio.run(best_constant(environment, [])) is None
