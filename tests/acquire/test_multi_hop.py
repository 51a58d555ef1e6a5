"""Questions over several facts of a made-up village: its space, its sets, its episodes, and what one who knows nothing
gets."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from instar.acquire.environments.floor import floor
from instar.acquire.environments.multi_hop import RELATIONS, MultiHop
from instar.acquire.feedback.pool import shared
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError
from instar.protocols import Moved
from instar.records import Task

WANTED = {"train": 40, "dev": 10, "gate": 40, "sealed": 40}
SEEDS = {"train": 1, "dev": 2, "gate": 3, "sealed": 4}


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    shared().close()


def asked(task: Task) -> tuple[str, list[str]]:
    """Who a question begins with, and its relations from there on."""
    found = re.fullmatch(r"Who is ((?:the \w+ of )+)(.+)\?", task.messages[-1].content)
    assert found is not None
    return found[2], re.findall(r"the (\w+) of ", found[1])[::-1]


def course(task: Task, *actions: str) -> list[Moved]:
    episode = MultiHop().episode()
    moves = [Moved(episode.reset(task.private))]
    for action in actions:
        moves.append(episode.step(action))
        if moves[-1].done:
            break
    return moves


def walked(task: Task) -> list[Moved]:
    """As one who looks up each fact and then says what was found."""
    name, relations = asked(task)
    episode = MultiHop().episode()
    episode.reset(task.private)
    moves = []
    for relation in relations:
        moves.append(episode.step(f"I look. lookup[{name}, {relation}]"))
        name = moves[-1].observation.removesuffix(".").partition(" is ")[2]
    return [*moves, episode.step(f"finish[{name}]")]


def test_the_sets_are_disjoint_reproduce_and_ask_for_relations_that_train_never_did() -> None:
    sets = MultiHop()(WANTED, SEEDS)
    assert prove_disjoint(sets) == WANTED
    assert sets == MultiHop()(WANTED, SEEDS) != MultiHop()(WANTED, {**SEEDS, "gate": 9})
    of = {name: {r for t in tasks for r in asked(t)[1]} for name, tasks in sets.items()}
    assert of["train"] == set(RELATIONS[:-6])
    assert of["gate"] | of["sealed"] | of["dev"] == set(RELATIONS[-6:])
    assert len({t.private["village"] for tasks in sets.values() for t in tasks}) == 4


def test_who_looks_up_each_fact_is_right_and_a_thousand_episodes_take_no_time() -> None:
    tasks = MultiHop(people=200)({"train": 1_000}, SEEDS)["train"]
    began = time.process_time()
    assert all(walked(t)[-1] == Moved("Right.", True, 1.0) for t in tasks)
    assert time.process_time() - began < 10.0


def test_what_one_who_knows_nothing_gets_is_near_nothing() -> None:
    tasks = MultiHop()(WANTED, SEEDS)["gate"]
    guessed = asyncio.run(floor(MultiHop(), tasks, turns=6))
    assert guessed is not None
    assert guessed <= 0.1
    constant = Counter(str(t.private["answer"]) for t in tasks).most_common(1)[0][1]
    assert constant / len(tasks) <= 0.15
    alone = [course(t, f"finish[{asked(t)[0]}]")[-1].score for t in tasks]
    assert sum(a or 0 for a in alone) == 0


def test_it_answers_what_cannot_be_done_in_words_and_ends_after_its_steps() -> None:
    (task,) = MultiHop()({"train": 1}, SEEDS)["train"]
    name, relations = asked(task)
    said = [m.observation for m in course(
        task, "hello", "lookup[Nobody Here, mother]", f"lookup[{name}, shoe size]", f"search[{name}]", "search[a]",
    )][1:]  # fmt: skip
    assert said[0].startswith("Say search[name]")
    assert said[1] == "Nobody is called 'Nobody Here'."
    assert said[2] == f"Nothing is known of 'shoe size' of {name}."
    assert said[3] == f"{name}: {', '.join(RELATIONS)}."
    assert re.match(r"\d+ people: ", said[4])
    assert course(task, *["search[]"] * 9)[-1] == Moved("Nobody is called ''.", True, 0.0)
    assert course(task, f"lookup[{name}, {relations[0]}] finish[{task.private['answer']}]")[-1].score is None


def test_more_questions_than_there_are_and_too_few_steps_are_refused() -> None:
    small = MultiHop(people=5, hops=1, held_out=1, steps=2)
    assert small.space("gate") == 5
    with pytest.raises(DataError, match="5 questions of 1 hops over 5 people for the gate set; 3 are wanted"):
        small({"gate": 3}, SEEDS)
    with pytest.raises(ValidationError, match="2 hops and an answer take 3 steps"):
        MultiHop(steps=2)
