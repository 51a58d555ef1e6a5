"""Twelve made-up illnesses and their symptoms, cases drawn from them, and what follows from what is known of a case.

All of it is invented, to have something to find out by asking. Nothing here is medical knowledge or medical advice.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

NO_ADVICE = "The illnesses are made up: nothing here is medical advice."

SYMPTOMS = (
    "a cough", "a fever", "a rash", "a headache", "a sore throat", "a runny nose", "cold hands", "dry eyes", "hiccups",
    "itchy ears", "pale skin", "stiff knees", "swollen feet", "a blue tongue", "hair loss", "back pain", "dizziness",
    "bad sleep",
)  # fmt: skip
"""What a patient may have, as it stands after "Do you have"."""

_TYPICAL = {
    "Brenk": (0, 2, 5, 14, 16, 17), "Dorvia": (0, 3, 6, 11, 12, 15), "Feltis": (2, 8, 9, 10, 12, 15),
    "Gorlem": (1, 8, 10, 13, 14, 15), "Haskia": (0, 4, 5, 8, 10, 17), "Jorrit": (3, 6, 7, 9, 16, 17),
    "Kelbo": (4, 11, 12, 13, 14, 17), "Lumpa": (1, 2, 5, 9, 11, 15), "Morvex": (1, 3, 4, 5, 7, 9),
    "Nabula": (0, 1, 2, 6, 7, 16), "Pellix": (4, 6, 10, 13, 14, 16), "Quorin": (3, 7, 8, 11, 12, 13),
}  # fmt: skip
ILLNESSES: Mapping[str, tuple[str, ...]] = {
    illness: tuple(SYMPTOMS[i] for i in places) for illness, places in _TYPICAL.items()
}
"""What is typical of each illness. Each symptom is typical of four, and no two illnesses share more than three, so that
one complaint says little and all symptoms say nearly everything."""

LIKELY = 0.9
"""How often a patient has a symptom that is typical of the illness."""
UNLIKELY = 0.03
"""How often one that is not."""
SURE = 0.9
"""The posterior from which the rule doctor asks no more."""

NAMES = (
    "Mara", "Tomas", "Ines", "Piet", "Lena", "Oskar", "Rosa", "Emil", "Nora", "Hugo", "Vera", "Otto", "Alma", "Ivan",
    "Greta", "Leo", "Carla", "Simon", "Judit", "Felix", "Olga", "Bruno", "Edda", "Karl",
)  # fmt: skip

_NAMED = re.compile("|".join(sorted((re.escape(s.removeprefix("a ")) for s in SYMPTOMS), key=len, reverse=True)))
_ILLNESS = re.compile(r"\b(" + "|".join(ILLNESSES) + r")\b", re.IGNORECASE)
_DIAGNOSIS = re.compile(r"\bdiagnosis\b", re.IGNORECASE)
_OF = {s.removeprefix("a "): s for s in SYMPTOMS}


class Case(NamedTuple):
    """A patient: the illness that is to be found, all symptoms, and the one complained of first."""

    illness: str
    symptoms: tuple[str, ...]
    opening: str
    who: str
    age: int

    @property
    def content(self) -> tuple[str, tuple[str, ...], str]:
        """What makes it this case, whoever has it: no two sets share one."""
        return self.illness, self.symptoms, self.opening

    @property
    def complaint(self) -> str:
        """The patient's first words."""
        return f"Hello, I am {self.who}, {self.age} years old. I have {self.opening}."


def case_of(luck: random.Random) -> Case:
    """A case by lot: an illness, its symptoms by their probabilities, one of them to begin with."""
    illness = luck.choice(tuple(ILLNESSES))
    symptoms: tuple[str, ...] = ()
    while not symptoms:
        symptoms = tuple(s for s in SYMPTOMS if luck.random() < chance(s, illness))
    return Case(illness, symptoms, luck.choice(symptoms), luck.choice(NAMES), luck.randrange(20, 80))


def chance(symptom: str, illness: str) -> float:
    """How often who has the illness has the symptom."""
    return LIKELY if symptom in ILLNESSES[illness] else UNLIKELY


def posterior(known: Mapping[str, bool]) -> dict[str, float]:
    """How likely each illness is, from which symptoms are there and which are not, by naive Bayes: all illnesses are
    equally frequent, and the symptoms of one independent of each other."""
    logs = {
        illness: sum(math.log(chance(s, illness) if there else 1 - chance(s, illness)) for s, there in known.items())
        for illness in ILLNESSES
    }
    most = max(logs.values())
    weights = {illness: math.exp(value - most) for illness, value in logs.items()}
    total = sum(weights.values())
    return {illness: weight / total for illness, weight in weights.items()}


def ranked(known: Mapping[str, bool]) -> list[str]:
    """The illnesses, the likeliest first; equally likely ones in the order of the table."""
    found = posterior(known)
    return sorted(ILLNESSES, key=lambda illness: -found[illness])


def telling(known: Mapping[str, bool]) -> str | None:
    """The symptom not asked for yet that is expected to leave the least uncertainty; None where all were asked for."""
    now = posterior(known)
    best: tuple[float, str] | None = None
    for symptom in SYMPTOMS:
        if symptom in known:
            continue
        yes = {i: p * chance(symptom, i) for i, p in now.items()}
        left = _uncertainty(yes) + _uncertainty({i: now[i] - p for i, p in yes.items()})
        if best is None or left < best[0] - 1e-12:
            best = left, symptom
    return None if best is None else best[1]


def _uncertainty(weights: Mapping[str, float]) -> float:
    """The entropy (nats) of what these weights say, times what they sum to."""
    total = sum(weights.values())
    return -sum(w * math.log(w / total) for w in weights.values() if w > 0)


# --- what is said -----------------------------------------------------------------------------------------------------


def question(symptom: str) -> str:
    """How a doctor asks for a symptom."""
    return f"Do you have {symptom}?"


def diagnosis(illnesses: Sequence[str]) -> str:
    """How a doctor ends: the likeliest first."""
    return f"Diagnosis: {', '.join(illnesses)}."


def asked(text: str) -> str | None:
    """The symptom that a doctor's words ask for: the first that is named, for one question is answered at a time."""
    found = _NAMED.search(text.casefold())
    return None if found is None else _OF[found[0]]


def diagnosed(text: str) -> tuple[str, ...] | None:
    """The illnesses that a diagnosis names, in order, each once; None where the words are no diagnosis of any."""
    begun = _DIAGNOSIS.search(text)
    found = () if begun is None else _ILLNESS.findall(text[begun.end() :])
    return tuple(dict.fromkeys(illness.capitalize() for illness in found)) or None


def answered(symptoms: Sequence[str], text: str) -> str:
    """What the patient of fixed rules says: yes or no to the one symptom that is asked for, and nothing else."""
    symptom = asked(text)
    if symptom is None:
        return "I do not understand. Ask me for one symptom."
    return "Yes." if symptom in symptoms else "No."


def agreed(text: str) -> bool | None:
    """Whether a patient's words say yes or no; None where they say neither."""
    found = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
    return None if found is None else found[1].casefold() == "yes"


def thought(illnesses: Sequence[str]) -> str:
    """How a doctor says what it thinks of before it asks: the likeliest first."""
    return f"It may be {', '.join(illnesses)}."


def by_rule(case: Case, turns: int, aloud: bool = False) -> list[tuple[str, str]]:
    """The consultation of the rule doctor and the rule patient: (who, words), from the complaint to the diagnosis. The
    doctor asks for what tells most until one illness is ``SURE``, and names three in the last of its ``turns``;
    ``aloud``: it says before each question which three it thinks of."""
    said = [("patient", case.complaint)]
    known = {case.opening: True}
    for _ in range(turns - 1):
        symptom = telling(known)
        if symptom is None or max(posterior(known).values()) >= SURE:
            break
        words = f"{thought(ranked(known)[:3])} {question(symptom)}" if aloud else question(symptom)
        said += [("doctor", words), ("patient", answered(case.symptoms, words))]
        known[symptom] = symptom in case.symptoms
    return [*said, ("doctor", diagnosis(ranked(known)[:3]))]
