"""A clinic of made-up illnesses: find out by asking which of twelve a patient has. It is a game, and no medical advice.

After the simulated consultations of AMIE (Tu et al., *Towards Conversational Diagnostic AI*, arXiv 2401.05654, section
3): a vignette, a patient who knows it, a doctor who does not. Departure: vignettes are drawn from a table
(``clinic_cases``) and not written by a model from search results, so that what can be inferred when is known.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.environments.clinic_cases import (
    ILLNESSES,
    NO_ADVICE,
    SYMPTOMS,
    Case,
    answered,
    by_rule,
    case_of,
    diagnosed,
    diagnosis,
    question,
)
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Environment, Moved
from instar.records import Message, Role, Task

DOCTOR = (
    f"You play a doctor. {NO_ADVICE} Ask for one symptom at a time. When you know enough, name the likeliest illness "
    f"and two others. The illnesses: {', '.join(ILLNESSES)}."
)
ALOUD = "Before each question say which it may be."
PATIENT = "You play a patient. {rules} Answer only what you are asked: yes or no. You have {symptoms}, nothing else."
GREETING = "Hello, what brings you here?"
"""How a doctor begins, as the patient is shown it."""
MOST = 5_000
"""Cases that all sets together may have: the more are drawn, the rarer are those that are left."""


class Consulting:
    """One consultation: what the patient of fixed rules says to each question, and the score of the diagnosis."""

    def reset(self, task: Mapping[str, Any]) -> str:
        self.symptoms, self.answer = tuple(map(str, task["symptoms"])), str(task["answer"])
        self.left = int(task["turns"])
        return f"You may speak {self.left} times."

    def step(self, action: str) -> Moved:
        self.left -= 1
        named = diagnosed(action)
        if named is not None:
            right = named[:1] == (self.answer,)
            return Moved("Right." if right else "Wrong.", True, float(right))
        said = answered(self.symptoms, action)
        return Moved(said) if self.left > 0 else Moved(said, True, 0.0)


class Clinic(Environment):
    """Consultations of at most ``turns`` words of the doctor's. A task is a case; what the doctor is shown of it is one
    complaint. No two sets share a case (illness, symptoms and complaint).

    ``shots`` worked consultations stand before each case, the same before all. With ``sides`` the train set holds, in
    turn, a case as the doctor is shown it and the same as the patient is (ability ``clinic/patient``): for recipes in
    which both roles learn. ``aloud``: the doctor is told to say which illnesses it thinks of before each question, and
    the worked and static consultations do (AMIE's analysis before a reply, in the reply itself): what an answer changes
    is learned at every turn and not in the diagnosis alone.

    Raises:
        DataError: more than 5,000 tasks are wanted.
    """

    name: ClassVar[str] = "clinic"
    late: ClassVar[frozenset[str]] = frozenset({"aloud"})

    turns: int = Field(default=8, ge=2, le=len(SYMPTOMS) + 1)
    shots: int = Field(default=3, ge=0, le=12)
    sides: bool = False
    aloud: bool = False

    def episode(self) -> Consulting:
        return Consulting()

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        return [*map(question, SYMPTOMS), *(diagnosis([illness]) for illness in ILLNESSES)]

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        names = check_wanted(wanted)
        if sum(wanted.values()) > MOST:
            raise DataError(
                f"clinic gives at most {MOST:,} tasks; {sum(wanted.values()):,} are wanted.",
                "Ask for fewer: those that are left would be rarer and rarer cases.",
            )
        shots = self._shown()
        before, seen = shown_before(shots, self.turns, self.aloud), {case.content for case in shots}
        drawn: dict[str, list[Task]] = {}
        for name in names:
            luck = random.Random(f"clinic|{name}|{seeds.get(name, 0)}")
            both = self.sides and name == "train"
            drawn[name] = []
            while len(drawn[name]) < wanted[name]:
                case = case_of(luck)
                if case.content in seen:
                    continue
                seen.add(case.content)
                drawn[name].append(self._task(case, before, "doctor"))
                if both and len(drawn[name]) < wanted[name]:
                    drawn[name].append(self._task(case, before, "patient"))
        return {name: drawn[name] for name in wanted}

    def _shown(self) -> list[Case]:
        """The cases of the worked consultations."""
        luck = random.Random("clinic|shots")
        return [case_of(luck) for _ in range(self.shots)]

    def _task(self, case: Case, before: Sequence[Message], role: str) -> Task:
        own = (*before, Message(role=Role.user, content=case.complaint))
        messages = own if role == "doctor" else patient_prompt(case)
        return Task(
            messages=messages,
            ability="clinic" if role == "doctor" else "clinic/patient",
            canonical=f"clinic:{role}:{case.illness}:{case.opening}:{'+'.join(case.symptoms)}",
            source="clinic",
            private={
                "answer": case.illness, "symptoms": list(case.symptoms), "opening": case.opening, "who": case.who,
                "age": case.age, "turns": self.turns, "role": role, "typical": list(ILLNESSES[case.illness]),
                **({"aloud": True} if self.aloud else {}),
            },
        )  # fmt: skip


def shown_before(shots: Sequence[Case], turns: int, aloud: bool = False) -> tuple[Message, ...]:
    """What the doctor is shown before the patient's first words: the rules and the worked consultations."""
    said = [Message(role=Role.system, content=f"{DOCTOR} {ALOUD}" if aloud else DOCTOR)]
    for shot in shots:
        said += [
            Message(role=Role.assistant if who == "doctor" else Role.user, content=words)
            for who, words in by_rule(shot, turns, aloud)
        ]
    return tuple(said)


def patient_prompt(case: Case) -> tuple[Message, ...]:
    """What the patient is shown before the first question: the rules, the symptoms, the doctor's greeting, and what he
    said to it. The illness is not in it: nobody can let slip what he does not know."""
    has = PATIENT.format(rules=NO_ADVICE, symptoms=", ".join(case.symptoms))
    return (
        Message(role=Role.system, content=has),
        Message(role=Role.user, content=GREETING),
        Message(role=Role.assistant, content=case.complaint),
    )


def case_in(private: Mapping[str, Any]) -> Case:
    """The case of a task's private data. Raises DataError for a task that is of no clinic."""
    try:
        return Case(
            str(private["answer"]), tuple(map(str, private["symptoms"])), str(private["opening"]), str(private["who"]),
            int(private["age"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise DataError(
            "This task is no case of a clinic: it has no symptoms, or no complaint.", 'Set tasks to {op = "clinic"}.'
        ) from None


def other_side(task: Task) -> str:
    """The canonical content of the same case as the other role is shown it."""
    role = str(task.private["role"])
    other = "patient" if role == "doctor" else "doctor"
    return task.canonical.replace(f"clinic:{role}:", f"clinic:{other}:", 1)
