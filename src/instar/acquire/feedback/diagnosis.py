"""Judge a consultation: is the first illness of the diagnosis the patient's, and how was it come by?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from instar.acquire.environments.clinic import case_in
from instar.acquire.environments.clinic_cases import ILLNESSES, Case, agreed, asked, diagnosed
from instar.protocols import Judge, Models, PlantedIn
from instar.records import Feedback, Mark, Solution, Task, Turn, TurnKind


class Diagnosis(Judge):
    """1 where the first illness that is named is the patient's, else 0; no diagnosis is wrong.

    The evidence has ``top3`` (among the first three), ``questions`` (symptoms asked for), ``repeated`` (of those, asked
    for before, the complaint counted), ``coverage`` (the share of what is typical of the illness that came up), and
    ``untrue``: the places of the turns in which the patient said what the case does not say.
    """

    name: ClassVar[str] = "diagnosis"
    planted_in: ClassVar[PlantedIn] = "nowhere"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        case = case_in(task.private)
        return [self._judged(case, solution) for solution in solutions]

    def _judged(self, case: Case, solution: Solution) -> Feedback:
        own = [t.text for t in solution.turns if t.kind is TurnKind.assistant]
        named = diagnosed(own[-1]) if own else None
        right = named is not None and named[0] == case.illness
        return Feedback(
            solution=solution.id,
            score=float(right),
            mark=Mark.right if right else Mark.wrong,
            source="verifier",
            comment="" if named else "no diagnosis",
            answer=named[0] if named else None,
            evidence={"top3": case.illness in (named or ())[:3], **_course(case, solution.turns)},
        )


def _course(case: Case, turns: Sequence[Turn]) -> dict[str, Any]:
    """What was asked for, and where the patient did not say what is so."""
    known, questions, repeated, untrue = {case.opening}, 0, 0, list[int]()
    symptom: str | None = None
    for place, turn in enumerate(turns):
        if turn.kind is TurnKind.assistant:
            symptom = None if diagnosed(turn.text) is not None else asked(turn.text)
            questions += symptom is not None
            repeated += symptom in known
            known |= set() if symptom is None else {symptom}
        elif (
            turn.kind is TurnKind.partner
            and symptom is not None
            and agreed(turn.text) is not (symptom in case.symptoms)
        ):
            untrue.append(place)
    typical = set(ILLNESSES[case.illness])
    return {
        "questions": questions, "repeated": repeated, "untrue": untrue,
        "coverage": len(typical & known) / len(typical),
    }  # fmt: skip
