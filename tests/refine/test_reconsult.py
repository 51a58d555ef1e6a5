"""A consultation anew with comments in sight, and the turns that are learned of a dialogue."""

from __future__ import annotations

import asyncio

import pytest

from instar.acquire.environments.clinic_cases import diagnosis, question
from instar.acquire.solutions.consult import Consult
from instar.errors import StepFailed
from instar.records import (
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    Role,
    Said,
    Sampling,
    Solution,
    Task,
    Turn,
    TurnKind,
)
from instar.refine.corrections.reconsult import REFINED, Reconsult
from instar.refine.corrections.some_turns import OTHER_SIDE, SomeTurns
from tests.acquire.test_consult import CASE, GOLD, HAS_NOT, OTHERS, Says


def talk(*said: tuple[TurnKind, str], task: Task = CASE) -> Experience:
    at = Said(exchange="i1:e", reply=0)
    turns = tuple(Turn(kind=k, text=x, train=k is TurnKind.assistant, said=at) for k, x in said)
    solution = Solution(
        id="s", task=task.id, turns=turns, policy="p", engine="e", precision="x", sampling=Sampling(),
        finish=Finish.stop,
    )  # fmt: skip
    return Experience(task=task, solution=solution)


DOCTOR, PATIENT = TurnKind.assistant, TurnKind.partner
TRIED = talk(
    (DOCTOR, question(HAS_NOT[0])), (PATIENT, "No."), (DOCTOR, question(HAS_NOT[0])), (PATIENT, "No."),
    (DOCTOR, diagnosis(OTHERS[:3])),
)  # fmt: skip


def refined(op: Reconsult, e: Experience = TRIED, **roles: Says) -> Solution:
    (made,) = asyncio.run(op(e, roles))
    return made


def test_the_case_is_consulted_anew_twice_with_the_comment_and_the_earlier_dialogue_in_sight() -> None:
    doctor, critic = Says(diagnosis([OTHERS[0]]), diagnosis([GOLD])), Says(f"It was {GOLD.lower()}! Ask more.")
    made = refined(Reconsult(consult=Consult()), self=doctor, critic=critic)
    assert [t.kind for t in made.turns] == [TurnKind.critique, TurnKind.critique, TurnKind.assistant]
    assert made.turns[-1].text == diagnosis([GOLD])
    assert made.flags == (REFINED,)
    assert made.tokens == 4
    assert GOLD in critic.shown[0][-1].content
    assert f"Doctor: {question(HAS_NOT[0])}\nPatient: No." in critic.shown[0][-1].content
    first, second = (shown[-1].content for shown in doctor.shown)
    assert "A critic says: It was the illness! Ask more." in first
    assert diagnosis(OTHERS[:3]) in first
    assert diagnosis([OTHERS[0]]) in second
    assert diagnosis(OTHERS[:3]) not in second
    assert first.endswith(CASE.question)
    assert GOLD not in first.partition(CASE.question)[0].replace(diagnosis(OTHERS[:3]), "")


def test_a_critic_of_rules_names_what_was_not_asked_and_never_the_illness() -> None:
    doctor = Says(diagnosis([GOLD]))
    made = refined(Reconsult(consult=Consult(), critic="rule", times=1), self=doctor)
    comment = made.turns[0].text
    assert comment.startswith("Ask for ")
    assert comment.endswith("Do not ask the same twice.")
    assert sum(str(s) in comment for s in CASE.private["typical"]) == 2
    assert GOLD not in comment
    asked = [(DOCTOR, question(str(s))) for s in CASE.private["typical"]]
    whole = refined(Reconsult(consult=Consult(), critic="rule", times=1), talk(*asked), self=doctor)
    assert whole.turns[0].text == "Well asked."


def test_without_a_critic_and_with_two_consultations_a_case_it_refuses() -> None:
    with pytest.raises(StepFailed, match="nobody plays the critic"):
        refined(Reconsult(consult=Consult()), self=Says("x"))
    with pytest.raises(StepFailed, match="gave 2 consultations"):
        refined(Reconsult(consult=Consult(samples=2), critic="rule"), self=Says(diagnosis([GOLD])))


def some(op: SomeTurns, e: Experience) -> list[Solution]:
    return list(asyncio.run(op(e, {})))


LONG = talk(
    (TurnKind.critique, "Ask more."), *((k, f"{k.value} {i} " + "x" * i) for i in range(6) for k in (DOCTOR, PATIENT))
)


def test_three_turns_are_learned_by_lot_and_comments_are_left_out() -> None:
    (made,) = some(SomeTurns(), LONG)
    assert [t.kind for t in made.turns] == [DOCTOR, PATIENT] * 6
    assert sum(t.train for t in made.turns) == 3
    assert all(t.kind is DOCTOR for t in made.turns if t.train)
    assert all(t.said is None for t in made.turns)  # learned under the dialogue, not under the comments
    assert some(SomeTurns(), LONG) == [made]
    others = {tuple(t.train for t in some(SomeTurns(seed=i), LONG)[0].turns) for i in range(8)}
    assert len(others) > 2


def test_a_dialogue_of_few_long_enough_turns_gives_those_and_one_of_none_nothing() -> None:
    (made,) = some(SomeTurns(shortest=15), LONG)
    assert [t.text for t in made.turns if t.train] == [f"assistant {i} " + "x" * i for i in (3, 4, 5)]
    assert some(SomeTurns(shortest=30), LONG) == []


def test_of_the_partners_side_the_roles_are_turned_and_what_is_untrue_is_not_learned() -> None:
    side = CASE.model_copy(update={"id": "other", "messages": (Message(role=Role.user, content="Hello?"),)})
    said = Feedback(solution="s", score=1.0, mark=Mark.right, source="verifier", evidence={"untrue": [2, 4, 6, 8]})
    (made,) = some(SomeTurns(side="partner"), Experience(task=side, solution=LONG.solution, feedback=said))
    assert made.task == "other"
    assert OTHER_SIDE in made.flags
    assert [t.text[:9] for t in made.turns if t.kind is DOCTOR] == [f"partner {i}" for i in range(6)]
    assert [t.text[:9] for t in made.turns if t.train] == ["partner 4", "partner 5"]
