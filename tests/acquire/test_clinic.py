"""The clinic: how much a complaint and a whole case say, what a patient answers, and that nothing says it too early."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from instar.acquire.environments.clinic import Clinic, case_in, other_side, patient_prompt
from instar.acquire.environments.clinic_cases import (
    ILLNESSES,
    NO_ADVICE,
    SYMPTOMS,
    answered,
    by_rule,
    case_of,
    diagnosed,
    diagnosis,
    posterior,
    question,
    ranked,
)
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import DataError
from instar.protocols import Moved
from instar.records import Role, Task

WANTED = {"train": 60, "dev": 20, "gate": 40, "sealed": 100}
SEEDS = {"train": 1, "dev": 2, "gate": 3, "sealed": 4}
DRAWN = Clinic(sides=True)(WANTED, SEEDS)


def test_the_complaint_alone_says_at_most_30_percent_and_the_whole_case_at_least_90() -> None:
    tasks = Clinic()({"sealed": 800}, SEEDS)["sealed"]
    cases = [case_in(t.private) for t in tasks]
    alone = sum(ranked({c.opening: True})[0] == c.illness for c in cases) / len(cases)
    best = max(max(posterior({s: True}).values()) for s in SYMPTOMS)
    whole = sum(ranked({s: s in c.symptoms for s in SYMPTOMS})[0] == c.illness for c in cases) / len(cases)
    assert alone <= 0.30
    assert best <= 0.30  # nor does any one complaint say more by the table
    assert whole >= 0.90


def test_the_table_has_twelve_illnesses_none_of_which_share_more_than_three_symptoms() -> None:
    assert len(ILLNESSES) == 12
    assert {len(s) for s in ILLNESSES.values()} == {6}
    assert {sum(s in own for own in ILLNESSES.values()) for s in SYMPTOMS} == {4}
    pairs = [(a, b) for a in ILLNESSES for b in ILLNESSES if a < b]
    assert max(len(set(ILLNESSES[a]) & set(ILLNESSES[b])) for a, b in pairs) == 3


def test_a_few_questions_that_tell_most_find_nine_of_ten() -> None:
    luck = random.Random(7)
    cases = [case_of(luck) for _ in range(200)]
    said = [by_rule(c, 8) for c in cases]
    right = sum((diagnosed(s[-1][1]) or ("",))[0] == c.illness for s, c in zip(said, cases, strict=True))
    assert right >= 0.9 * len(cases)
    assert sum(len(s) // 2 - 1 for s in said) < 5 * len(cases)


def test_sets_are_the_same_for_the_same_seeds_and_share_no_case() -> None:
    again = Clinic(sides=True)(WANTED, SEEDS)
    assert again == DRAWN != Clinic(sides=True)(WANTED, {**SEEDS, "sealed": 9})
    assert prove_disjoint(DRAWN) == WANTED
    cases = [case_in(t.private).content for own in DRAWN.values() for t in own if t.private["role"] == "doctor"]
    assert len(set(cases)) == len(cases)


def test_train_has_both_sides_of_each_case_and_the_other_sets_the_doctors_alone() -> None:
    train = DRAWN["train"]
    assert [t.private["role"] for t in train] == ["doctor", "patient"] * 30
    for doctor, patient in zip(train[::2], train[1::2], strict=True):
        assert other_side(doctor) == patient.canonical
        assert other_side(patient) == doctor.canonical
    assert {t.private["role"] for name in ("dev", "gate", "sealed") for t in DRAWN[name]} == {"doctor"}


def test_a_doctor_who_thinks_aloud_asks_the_same_and_names_no_illness_before_its_turn() -> None:
    plain, aloud = (Clinic(shots=1, aloud=a)({"dev": 20}, SEEDS)["dev"] for a in (False, True))
    assert [t.canonical for t in aloud] == [t.canonical for t in plain]
    assert "aloud" not in plain[0].private
    assert "say which it may be" in aloud[0].messages[0].content
    assert "It may be" in aloud[0].messages[2].content
    for case in (case_in(t.private) for t in plain):
        quiet, said = by_rule(case, 8), by_rule(case, 8, aloud=True)
        assert len(said) == len(quiet)
        for (who, words), (_, more) in zip(quiet, said, strict=True):
            assert more.endswith(words)
            assert (more == words) is (who == "patient" or diagnosed(words) is not None)
            assert diagnosed(more) == diagnosed(words), "what it may be is no diagnosis"


def test_more_tasks_than_it_gives_are_refused_with_both_numbers() -> None:
    with pytest.raises(DataError, match="at most 5,000 tasks; 5,001 are wanted"):
        Clinic()({"train": 5_000, "gate": 1}, SEEDS)


def test_a_patient_answers_the_one_thing_that_is_asked_and_volunteers_nothing() -> None:
    has = ("a cough", "hiccups")
    assert answered(has, "Do you have a cough?") == "Yes."
    assert answered(has, "Do you have a COUGH or a fever, hiccups, dizziness?") == "Yes."
    assert answered(has, "Have you had any fever? And a cough, hiccups?") == "No."
    for nothing in ("What do you have?", "Tell me all your symptoms.", "What is your illness?", "", "Brenk?"):
        assert answered(has, nothing) == "I do not understand. Ask me for one symptom."


def test_a_diagnosis_is_read_in_order_and_talk_is_none() -> None:
    assert diagnosed("Diagnosis: Kelbo, brenk, Kelbo.") == ("Kelbo", "Brenk")
    assert diagnosed("My DIAGNOSIS is Quorin!") == ("Quorin",)
    for talk in ("Brenk.", "The diagnosis is hard.", "Brenk is my", "Diagnosis: flu", "Kelbo? No diagnosis yet."):
        assert diagnosed(talk) is None


def course(task: Task, *actions: str) -> list[Moved]:
    episode = Clinic().episode()
    moves = [Moved(episode.reset(task.private))]
    for action in actions:
        moves.append(episode.step(action))
        if moves[-1].done:
            break
    return moves


def test_an_episode_ends_with_a_diagnosis_or_its_last_turn() -> None:
    task = DRAWN["sealed"][0]
    gold, opening = task.private["answer"], task.private["opening"]
    other = next(i for i in ILLNESSES if i != gold)
    assert course(task, question(opening), diagnosis([gold, other]))[1:] == [
        ("Yes.", False, None),
        ("Right.", True, 1.0),
    ]
    assert course(task, diagnosis([other, gold]))[-1] == ("Wrong.", True, 0.0)
    assert course(task, *["How are you?"] * 8)[-1][1:] == (True, 0.0)


def test_who_knows_nothing_scores_near_nothing() -> None:
    scores = []
    for task in DRAWN["sealed"]:
        luck = random.Random(task.canonical)
        moves = course(task, *luck.choices(Clinic().choices(task.private), k=8))
        scores.append(next((m.score for m in moves if m.done), 0.0) or 0.0)
    assert sum(scores) < 0.2 * len(scores)


def test_nothing_that_a_doctor_sees_hangs_on_the_illness_but_through_the_symptoms() -> None:
    """A twin of each case has the same symptoms and another illness: the doctor sees the same words, whatever he asks.
    And the word that only the case's private data hold is in none of them."""
    asks = [question(s) for s in SYMPTOMS]
    for task in DRAWN["sealed"]:
        twin = {**task.private, "answer": next(i for i in ILLNESSES if i != task.private["answer"]), "canary": "x7f3"}
        seen, other = course(task, *asks[:7]), course(task.model_copy(update={"private": twin}), *asks[:7])
        assert seen == other
        words = " ".join([*(m.content for m in task.messages), *(m.observation for m in seen)])
        assert "x7f3" not in words
        shown = [m.content for m in task.messages[-1:]] + [m.observation for m in seen]
        assert not any(illness in text for illness in ILLNESSES for text in shown)


def test_what_stands_before_a_case_is_the_same_for_all_and_no_case_of_a_set() -> None:
    tasks = [t for own in DRAWN.values() for t in own if t.private["role"] == "doctor"]
    assert len({t.messages[:-1] for t in tasks}) == 1
    complaints = {m.content for t in tasks for m in t.messages[:-1] if m.role is Role.user}
    assert complaints.isdisjoint(t.question for t in tasks)


def test_the_patient_is_never_told_the_illness_and_everybody_is_told_that_it_is_no_advice() -> None:
    for task in DRAWN["train"]:
        said = " ".join(m.content for m in patient_prompt(case_in(task.private)))
        assert not any(illness in said for illness in ILLNESSES)
        assert NO_ADVICE in said
        assert NO_ADVICE in task.messages[0].content


def test_the_consultation_on_the_recipes_page_is_one_that_the_rules_hold() -> None:
    luck = random.Random(5)
    case = [case_of(luck) for _ in range(2)][1]
    page = Path(__file__).parents[2].joinpath("docs", "recipes", "amie.md").read_text()
    said = "\n".join(f"{who}: {words}" for who, words in by_rule(case, 8))
    assert f"of a patient with {', '.join(case.symptoms)}:\n\n```text\n{said}\n```" in page


def test_a_task_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="no case of a clinic"):
        case_in({"answer": "4"})
