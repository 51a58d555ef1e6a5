"""Consultations: what each role is shown, who ends them, what is judged of them, and what each must refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from instar.acquire.environments.clinic import GREETING, Clinic
from instar.acquire.environments.clinic_cases import ILLNESSES, SYMPTOMS, diagnosis, question
from instar.acquire.feedback.diagnosis import Diagnosis
from instar.acquire.solutions.consult import Consult, StaticConsultation
from instar.errors import DataError, StepFailed
from instar.records import Feedback, Finish, Mark, Message, Reply, Sampling, Solution, Task, TurnKind
from instar.scripted_world import base_policy
from tests.acquire.things import task as sum_task

DRAWN = Clinic(sides=True)({"train": 8, "sealed": 4}, {})
CASE = DRAWN["sealed"][0].model_copy(update={"id": "t"})
GOLD = str(CASE.private["answer"])
OTHERS = [i for i in ILLNESSES if i != GOLD]
HAS = list(map(str, CASE.private["symptoms"]))
HAS_NOT = [s for s in SYMPTOMS if s not in HAS]


class Says:
    """Says its lines in order, again and again; keeps what it was shown."""

    def __init__(self, *lines: str) -> None:
        self.policy = base_policy()
        self.lines, self.shown = lines, list[tuple[Message, ...]]()

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        line = self.lines[len(self.shown) % len(self.lines)]
        self.shown.append(tuple(messages))
        return [Reply(text=line, finish=Finish.stop, policy=self.policy.id, engine="e", precision="p", tokens=2)] * n


def held(op: Consult, task: Task = CASE, **roles: Says) -> Solution:
    (made,) = asyncio.run(op(task, roles))
    return made


def judged(solution: Solution, task: Task = CASE) -> Feedback:
    (said,) = asyncio.run(Diagnosis()(task, [solution], {}))
    return said


def words(solution: Solution) -> list[tuple[str, str]]:
    return [(t.kind.value, t.text) for t in solution.turns]


def test_a_doctor_asks_a_patient_of_rules_until_the_diagnosis() -> None:
    doctor = Says(question(HAS[-1]), question(HAS_NOT[0]), diagnosis([GOLD, *OTHERS[:2]]))
    made = held(Consult(), self=doctor)
    assert words(made) == [
        ("assistant", question(HAS[-1])), ("partner", "Yes."), ("assistant", question(HAS_NOT[0])), ("partner", "No."),
        ("assistant", diagnosis([GOLD, *OTHERS[:2]])),
    ]  # fmt: skip
    assert [t.train for t in made.turns] == [True, False, True, False, True]
    assert (made.finish, made.tokens) == (Finish.stop, 6)
    assert [m.content for m in doctor.shown[-1][-4:]] == [question(HAS[-1]), "Yes.", question(HAS_NOT[0]), "No."]
    assert doctor.shown[0] == CASE.messages
    said = judged(made)
    assert (said.mark, said.answer, said.evidence["top3"], said.evidence["questions"]) == (Mark.right, GOLD, True, 2)
    assert said.evidence["untrue"] == []


def test_one_who_never_comes_to_an_end_is_cut_at_the_cases_turns_and_wrong() -> None:
    made = held(Consult(), self=Says("How are you?"))
    assert sum(t.kind is TurnKind.assistant for t in made.turns) == CASE.private["turns"]
    assert made.turns[-1].kind is TurnKind.assistant
    assert made.finish is Finish.length
    said = judged(made)
    assert (said.mark, said.score, said.comment, said.answer) == (Mark.wrong, 0.0, "no diagnosis", None)


def test_only_the_first_illness_counts_and_the_first_three_are_noted() -> None:
    second = judged(held(Consult(), self=Says(diagnosis([OTHERS[0], GOLD]))))
    fourth = judged(held(Consult(), self=Says(diagnosis([*OTHERS[:3], GOLD]))))
    assert [(f.mark, f.evidence["top3"]) for f in (second, fourth)] == [(Mark.wrong, True), (Mark.wrong, False)]


def test_what_is_asked_twice_and_what_is_covered_is_counted() -> None:
    typical = [s for s in ILLNESSES[GOLD] if s != CASE.private["opening"]]
    doctor = Says(question(typical[0]), question(typical[0]), diagnosis([GOLD]))
    said = judged(held(Consult(), self=doctor)).evidence
    known = {typical[0], CASE.private["opening"]} & set(ILLNESSES[GOLD])
    assert (said["questions"], said["repeated"], said["coverage"]) == (2, 1, len(known) / 6)


def test_a_patient_that_a_model_plays_sees_its_side_and_its_untruths_are_noted() -> None:
    doctor, patient = Says(question(HAS_NOT[0]), question(HAS_NOT[1]), diagnosis([GOLD])), Says("Yes, I do.", "No.")
    made = held(Consult(patient="model"), self=doctor, patient=patient)
    assert [m.content for m in patient.shown[0][1:]] == [GREETING, CASE.question, question(HAS_NOT[0])]
    assert all(symptom in patient.shown[0][0].content for symptom in HAS)
    assert GOLD not in " ".join(m.content for m in patient.shown[-1])
    assert judged(made).evidence["untrue"] == [1]


def test_a_moderator_may_end_it_without_a_diagnosis() -> None:
    moderator = Says("No, not yet.", "Yes.")
    made = held(Consult(moderator="model"), self=Says("How are you?"), moderator=moderator)
    assert len(made.turns) == 4
    assert "Doctor: How are you?" in moderator.shown[0][-1].content


def test_reasoning_takes_three_asks_and_the_patient_hears_the_last() -> None:
    doctor = Says("It may be many things.", "A draft.", diagnosis([GOLD]))
    made = held(Consult(reasoning=True), self=doctor)
    assert words(made) == [
        ("critique", "It may be many things."),
        ("draft", "A draft."),
        ("assistant", diagnosis([GOLD])),
    ]
    assert [t.train for t in made.turns] == [False, False, True]
    assert made.tokens == 6
    assert "It may be many things." in doctor.shown[1][-1].content
    assert "A draft." in doctor.shown[2][-1].content
    assert judged(made).mark is Mark.right


def test_a_role_that_nobody_plays_and_a_task_of_another_kind_are_refused() -> None:
    with pytest.raises(StepFailed, match="nobody plays the patient"):
        held(Consult(patient="model"), self=Says("Hm."))
    with pytest.raises(StepFailed, match="nobody plays the moderator"):
        held(Consult(moderator="model"), self=Says("Hm."))
    for op in (Consult(), StaticConsultation()):
        with pytest.raises(DataError, match="no case of a clinic"):
            op.prepare({"train": [sum_task(answer="7")]})
        op.prepare(DRAWN)


def test_static_consultations_are_of_either_side_and_right() -> None:
    right = 0
    for task in DRAWN["train"]:
        (made,) = asyncio.run(StaticConsultation()(task.model_copy(update={"id": "x"}), {"self": Says("")}))
        assert made.flags == ("static",)
        assert all(t.train == (t.kind is TurnKind.assistant) for t in made.turns)
        if task.private["role"] == "patient":
            assert {t.text for t in made.turns if t.train} <= {"Yes.", "No."}
        else:
            assert all(t.text.startswith(("Do you have", "Diagnosis:")) for t in made.turns if t.train)
            right += judged(made, task).mark is Mark.right
    assert right >= 3
