"""Instructions that a model writes: the papers' filters, the same by an index as by comparing all, and exact keys."""

from __future__ import annotations

import asyncio
import random

import pytest

from instar.acquire.tasks import bootstrapped, evolve, self_instruct
from instar.acquire.tasks.bootstrapped import Bootstrapped, turned_round
from instar.acquire.tasks.evolve import EvolInstruct, prompt_of
from instar.acquire.tasks.rouge import RougeIndex, rouge_l
from instar.acquire.tasks.self_instruct import SelfInstruct, instructions, unfit
from instar.arithmetic import value_of
from instar.protocols import Create, Created, Refused
from instar.records import Finish, Message, Objective, Reply, Role, Task
from tests.acquire.asked import Told

GOAL = Objective(id="i1:goal", ability="x", tasks=8)


def task(text: str, answer: str | None = None, source: str = "people") -> Task:
    private = {} if answer is None else {"answer": answer}
    return Task(id=f"i1:{text}", messages=(Message(role=Role.user, content=text),), ability="x", canonical=text,
                source=source, private=private)  # fmt: skip


def made(op: Create, sources: list[Task], model: Told) -> list[Created | Refused]:
    return list(asyncio.run(op([GOAL], sources, (), {"self": model})))


def reply(text: str, finish: Finish = Finish.stop) -> Reply:
    return Reply(text=text, finish=finish, policy="i1:p", engine="told", precision="exact")


# --- ROUGE-L ----------------------------------------------------------------------------------------------------------


def test_rouge_l_is_the_share_of_the_longest_common_subsequence() -> None:
    assert rouge_l("police killed the gunman", "police kill the gunman") == pytest.approx(0.75)  # Lin 2004, section 3.1
    assert rouge_l("police killed the gunman", "the gunman kill police") == pytest.approx(0.5)
    assert rouge_l("", "a") == 0.0
    assert rouge_l("What is it?", "what is IT") == 1.0


def test_the_index_finds_exactly_what_comparing_all_finds_and_compares_far_fewer() -> None:
    luck = random.Random(3)
    words = ["".join(luck.choices("abcdefgh", k=luck.randint(2, 7))) for _ in range(300)]
    pool: list[str] = []
    index = RougeIndex(threshold=0.7)
    wrong = pairs = 0
    for _ in range(500):
        text = " ".join(luck.choices(words, k=luck.randint(4, 14)))
        if pool and luck.random() < 0.4:
            parts = luck.choice(pool).split()
            parts[luck.randrange(len(parts))] = luck.choice(words)
            text = " ".join(parts)
        pairs += len(pool)
        expected = next((i for i, t in enumerate(pool) if rouge_l(text, t) > 0.7), None)
        wrong += index.like(text) != expected
        pool.append(text)
        index.add(text)
    assert wrong == 0
    assert index.compared < pairs / 10


# --- Self-Instruct ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        ("Name three colours please.", None),
        ("Name a colour.", self_instruct.TOO_SHORT),
        ("word " * 151, self_instruct.TOO_LONG),
        ("Draw a picture of a house.", self_instruct.KEY_WORD),
        ("Please go to the next page now.", self_instruct.KEY_WORD),
        ("Write a mapping from a to b.", None),
        ("Write a program that sorts words.", self_instruct.PROGRAM),
        ("- name three colours of the sea", self_instruct.PUNCTUATION),
        ("Ähnliche Wörter für das Haus nennen", self_instruct.NOT_ASCII),
    ],
)
def test_an_instruction_is_refused_by_the_papers_rules(instruction: str, why: str | None) -> None:
    assert unfit(instruction) == why


def test_the_tasks_of_a_reply_are_read_and_the_last_of_one_that_was_cut_is_left_out() -> None:
    text = " Name a river in France.\nTask 10: Name a lake\nin Italy.\n11. Say it in"
    assert instructions(reply(text)) == ["Name a river in France.", "Name a lake in Italy.", "Say it in"]
    assert instructions(reply(text, Finish.length)) == [
        "Name a river in France.", "Name a lake in Italy.", self_instruct.CUT,
    ]  # fmt: skip
    assert instructions(reply("")) == [self_instruct.SAYS_NOTHING]


def test_six_given_tasks_and_two_of_its_own_are_shown_and_what_is_too_like_one_is_refused() -> None:
    people = [task(f"Question number {i} about animal {i} of the wood?") for i in range(12)]
    own = [task(f"My own question about the {i}th sea?", source="self_instruct") for i in range(5)]
    model = Told(lambda _: f"{people[0].question}\nTask 10: List {len(model.prompts)} towns that begin with an A.")
    found = made(SelfInstruct(tries=0.5), [*people, *own], model)
    prompt = model.prompts[0][0].content
    assert prompt.count("Question number") == 6
    assert prompt.count("My own question") == 2
    assert prompt.endswith("Task 9:")
    assert {x.reason for x in found if isinstance(x, Refused)} == {self_instruct.LIKE}
    kept = [x for x in found if isinstance(x, Created)]
    assert kept
    assert all(len(x.made_from) == 8 for x in kept)
    assert {x.task.source for x in kept} == {"self_instruct"}
    assert all(not x.task.private for x in kept)


# --- Evol-Instruct ----------------------------------------------------------------------------------------------------

PARENT = "Name the capital of France and say where it lies."


@pytest.mark.parametrize(
    ("said", "finish", "why"),
    [
        ("Name the capital of France, say where it lies, and which river flows by it in spring.", Finish.stop, None),
        (PARENT, Finish.stop, evolve.NOTHING_NEW),
        (PARENT.upper(), Finish.stop, evolve.NOTHING_NEW),
        ("", Finish.stop, evolve.EMPTY),
        ("Name the capital of France and", Finish.length, evolve.CUT),
        ("The given prompt asks for a capital with a river.", Finish.stop, evolve.LEAKS_PROMPT),
        ("Name " + "many towns " * 50, Finish.stop, evolve.FAR_TOO_LONG),
    ],
)
def test_a_rewrite_that_failed_is_eliminated_with_its_reason(said: str, finish: Finish, why: str | None) -> None:
    (found,) = made(EvolInstruct(ways=("constraints",)), [task(PARENT)], Told(lambda _: said, finish))
    assert (found.reason if isinstance(found, Refused) else None) == why
    if isinstance(found, Created):
        assert found.made_from == (f"i1:{PARENT}",)
        assert found.task.source == "evol_instruct/constraints"


def test_each_operation_asks_for_its_own_and_all_are_drawn() -> None:
    prompts = {w: prompt_of(w, PARENT).content for w in EvolInstruct().ways}
    assert len(set(prompts.values())) == 6
    assert all(PARENT in p for p in prompts.values())
    model = Told(lambda _: "Something else that nobody asked for before today")
    found = made(EvolInstruct(), [task(f"{PARENT} {i}") for i in range(100)], model)
    assert len(found) == GOAL.tasks
    assert len({x.task.source for x in found if isinstance(x, Created)}) > 2


# --- MetaMath ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lot", [0.0, 0.6])
def test_a_number_is_masked_and_is_the_key_of_the_question_turned_round(lot: float) -> None:
    found = turned_round("Calculate 12 + 7.", "19", lot)
    assert not isinstance(found, str)
    question, key = found
    assert key == ("12" if lot == 0 else "7")
    assert "the answer to the above question is 19" in question
    shown = question.split(".")[0].removeprefix("Calculate ")
    assert value_of(shown.replace("X", key)) == 19


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("Calculate 0 * 7.", "0", bootstrapped.UNDETERMINED),
        ("Which city is it?", "4", bootstrapped.NO_NUMBER),
    ],
)
def test_what_has_no_one_key_is_not_turned_round(question: str, answer: str, why: str) -> None:
    assert turned_round(question, answer, 0.9) == why


def test_plain_arithmetic_becomes_a_statement_by_a_rule_and_no_model_is_asked() -> None:
    model = Told(lambda _: "never")
    (found,) = made(Bootstrapped(ways=("self_verification",)), [task("Calculate 12 + 7.", "19")], model)
    assert isinstance(found, Created)
    statement, _, asked = found.task.question.partition(". ")
    assert statement in ("x + 7 is 19", "12 + x is 19")
    assert asked == "What is the value of unknown variable x?"
    assert found.task.private["answer"] in ("12", "7")
    assert model.prompts == []


STORY = "Tom has 3 apples and buys 4 more. How many apples has he?"


@pytest.mark.parametrize(
    ("way", "said", "key"),
    [
        ("rephrase", "How many apples are Tom's after he adds 4 to his 3?", "7"),
        ("rephrase", "How many apples are Tom's after he adds 5 to his 3?", None),
        ("rephrase", STORY, None),
        ("self_verification", "Tom has 3 apples, buys 4 more and then has 7.", "3 or 4"),
        ("self_verification", "Tom has 3 apples, buys some and then has 7.", None),
        ("fobar", "never asked", "3 or 4"),
    ],
)
def test_a_question_told_otherwise_keeps_its_numbers_or_is_refused(way: str, said: str, key: str | None) -> None:
    (found,) = made(Bootstrapped(ways=(way,)), [task(STORY, "7")], Told(lambda _: said))
    assert isinstance(found, Created) == (key is not None)
    if isinstance(found, Created) and key is not None:
        assert found.task.private["answer"] in key


def test_a_source_without_a_number_for_an_answer_has_no_exact_key() -> None:
    (found,) = made(Bootstrapped(), [task("Which city is it?", "Paris")], Told(lambda _: ""))
    assert found == Refused(bootstrapped.NO_KEY)
