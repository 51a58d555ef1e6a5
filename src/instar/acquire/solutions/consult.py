"""Consult: a doctor asks a patient until it names what the patient has, and a moderator says when it is over.

Paper: Tu et al., *Towards Conversational Diagnostic AI* (AMIE), arXiv 2401.05654, section 3: simulated dialogues
between roles that one model plays, and at inference a reply in three steps: analyse, respond, refine. The illnesses
here are made up, and none of it is medical advice.

Departures, each a setting: the patient may be one of fixed rules, which an exam needs (a patient that learns beside
the doctor grows easy); the moderator's rule is that a diagnosis ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.environments.clinic import case_in, patient_prompt
from instar.acquire.environments.clinic_cases import answered, by_rule, diagnosed
from instar.answers import replies_of, trajectory_of, turn_of
from instar.borders import side_by_side
from instar.errors import StepFailed
from instar.protocols import Model, Models, Solve
from instar.records import (
    Finish,
    Message,
    Polarity,
    Reply,
    Role,
    Sampling,
    Solution,
    Strategy,
    Task,
    Turn,
    TurnKind,
)

STATIC = "static"
"""The flag of a consultation that nobody sampled."""
_ANALYSE = "\n\n(Note first, for yourself: what is known, and which illnesses fit?)"
_RESPOND = "\n\n(Your notes: {notes})"
_REFINE = "\n\n(Your notes: {notes}\nYour draft: {draft}\nWrite what you say to the patient.)"


class Consult(Solve):
    """``samples`` consultations, in which ``models["self"]`` is the doctor and speaks at most as often as the task has
    turns. A diagnosis ends one.

    ``patient`` "rule" answers yes or no to the one symptom asked for: a fixed policy. "model": ``models["patient"]``,
    who is shown the symptoms and never the illness. ``moderator`` "model": ``models["moderator"]`` may end it too.
    ``reasoning``: each of the doctor's replies takes three asks; the notes and the draft are kept beside it.

    Raises:
        DataError: the task is no case of a clinic.
        StepFailed: nobody is at hand for a role.
        EngineError: a model gave another number of replies than asked for.
    """

    name: ClassVar[str] = "consult"

    samples: int = Field(default=1, ge=1)
    patient: Literal["rule", "model"] = "rule"
    moderator: Literal["rule", "model"] = "rule"
    reasoning: bool = False
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=24)
    patient_sampling: Sampling = Sampling(temperature=0.0, max_tokens=16)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        for role, wanted in (("patient", self.patient), ("moderator", self.moderator)):
            if wanted == "model" and role not in models:
                raise StepFailed(f"nobody plays the {role}.", f'Set {role} to "rule", or name who plays it.')
        return await side_by_side(models, [partial(self._talk, task)] * self.samples)

    async def _talk(self, task: Task, models: Models) -> Solution:
        case = case_in(task.private)
        shown = list(models["self"].policy.prompt(task))
        heard = list(patient_prompt(case))
        turns, replies, most = list[Turn](), list[Reply](), int(task.private["turns"])
        over = False
        for left in range(most - 1, -1, -1):
            own, asked = await self._doctor(models["self"], shown)
            turns += own
            replies += asked
            words = own[-1].text
            over = diagnosed(words) is not None
            if over or not left:
                break
            heard.append(Message(role=Role.user, content=words))
            said = await self._patient(case.symptoms, heard, models)
            turns.append(said)
            heard.append(Message(role=Role.assistant, content=said.text))
            shown += [Message(role=Role.assistant, content=words), Message(role=Role.user, content=said.text)]
            if self.moderator == "model" and await self._ended(models["moderator"], words, said.text):
                over = True
                break
        played = Strategy.self_play if self.patient == "model" else Strategy.interactive
        return trajectory_of(task, turns, replies, self.sampling, over=over, strategy=played)

    async def _doctor(self, model: Model, shown: Sequence[Message]) -> tuple[list[Turn], list[Reply]]:
        """What the doctor says: the turn, after the notes and the draft where there are any."""
        if not self.reasoning:
            replies = await replies_of(model, shown, self.sampling)
            return [turn_of(replies[0])], replies
        (notes,) = await replies_of(model, _with(shown, _ANALYSE), self.sampling)
        (draft,) = await replies_of(model, _with(shown, _RESPOND.format(notes=notes.text)), self.sampling)
        refine = _REFINE.format(notes=notes.text, draft=draft.text)
        (reply,) = await replies_of(model, _with(shown, refine), self.sampling)
        aside = [
            turn_of(notes, kind=TurnKind.critique, train=False), turn_of(draft, kind=TurnKind.draft, train=False)
        ]  # fmt: skip
        return [*aside, turn_of(reply)], [notes, draft, reply]

    async def _patient(self, symptoms: Sequence[str], heard: Sequence[Message], models: Models) -> Turn:
        if self.patient == "rule":
            return Turn(kind=TurnKind.partner, text=answered(symptoms, heard[-1].content), train=False)
        (reply,) = await replies_of(models["patient"], heard, self.patient_sampling)
        return turn_of(reply, kind=TurnKind.partner, train=False)

    async def _ended(self, model: Model, doctor: str, patient: str) -> bool:
        """Whether the moderator says that the consultation is over."""
        asked = (
            f"Doctor: {doctor}\nPatient: {patient}\n\nHas the doctor named an illness, or said goodbye, and is no "
            "question left? Answer yes or no."
        )
        (reply,) = await replies_of(model, [Message(role=Role.user, content=asked)], self.patient_sampling)
        return reply.text.strip().casefold().startswith("yes")

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Each task is a case."""
        _cases(tasks)


class StaticConsultation(Solve):
    """The consultation that was there before any model spoke, in place of the paper's real ones: the doctor of rules
    asks for what tells most, the patient of rules answers. Of a task that shows the patient's side, that side.

    It asks no model. The solution is flagged "static", and learned under the plain prompt of its task.

    Raises:
        DataError: the task is no case of a clinic.
    """

    name: ClassVar[str] = "static_consultation"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        own = str(task.private["role"])
        aloud = bool(task.private.get("aloud"))
        _, *said = by_rule(case_in(task.private), int(task.private["turns"]), aloud)
        turns = tuple(
            Turn(kind=TurnKind.assistant if who == own else TurnKind.partner, text=words, train=who == own)
            for who, words in said
        )
        return [
            Solution(
                task=task.id, turns=turns, policy=models["self"].policy.id, engine="none", precision="exact",
                sampling=Sampling(), finish=Finish.stop, strategy=Strategy.grounded, polarity=Polarity.right,
                flags=(STATIC,),
            )
        ]  # fmt: skip

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Each task is a case."""
        _cases(tasks)


def _cases(tasks: Mapping[str, Sequence[Task]]) -> None:
    for own in tasks.values():
        for task in own[:1]:
            case_in(task.private)


def _with(messages: Sequence[Message], more: str) -> list[Message]:
    """The messages with something after the last one, which is the patient's."""
    return [*messages[:-1], messages[-1].model_copy(update={"content": messages[-1].content + more})]
