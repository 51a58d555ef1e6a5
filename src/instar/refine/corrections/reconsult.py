"""The same consultation anew, with a critic's comments and the earlier one in sight: AMIE's inner loop.

Paper: Tu et al., *Towards Conversational Diagnostic AI*, arXiv 2401.05654, section 3 (self-play, inner loop): a critic
who knows the illness comments on the doctor's behaviour; the doctor holds the consultation again from its beginning,
with the same patient, the comments and the earlier dialogue in context. Twice a dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.answers import replies_of, turn_of
from instar.errors import StepFailed
from instar.protocols import Correct, Models, Solve
from instar.records import Experience, Message, Role, Sampling, Solution, Task, Turn, TurnKind

REFINED = "refined"
"""The flag of a consultation that was held anew with comments in sight: they are no part of what is learned from it."""
_SPEAKERS = {TurnKind.assistant: "Doctor", TurnKind.partner: "Patient"}


class Reconsult(Correct):
    """Holds the consultation of an experience ``times`` times anew by ``consult``, each time with a comment on the last
    one; gives the last, with the comments before it. ``consult`` gives one solution a task.

    ``critic`` "model": ``models["critic"]``, who is told the illness. Its words may hold no illness's name: names
    that the task's own messages have are taken out. "rule": what is typical and was not asked for, at most two
    symptoms, and what was asked twice; the illness is not named.

    Raises:
        StepFailed: nobody plays the critic, or ``consult`` gave more or less than one solution.
    """

    name: ClassVar[str] = "reconsult"

    consult: Solve
    times: int = Field(default=2, ge=1, le=10)
    critic: Literal["rule", "model"] = "model"
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=48)

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        if self.critic == "model" and "critic" not in models:
            raise StepFailed("nobody plays the critic.", 'Set critic to "rule", or name who plays it.')
        task, solution, comments = experience.task, experience.solution, list[Turn]()
        cost = 0
        for _ in range(self.times):
            said = dialogue(solution.turns)
            comments.append(await self._comment(task, solution, said, models))
            made = await self.consult(_anew(task, said, comments[-1].text), models)
            if len(made) != 1:
                raise StepFailed(
                    f"{self.consult.name} gave {len(made)} consultations of one case; one is held anew.",
                    "Set its samples to 1.",
                )
            (solution,) = made
            cost += solution.tokens
        flags = (*solution.flags, REFINED)
        return [solution.model_copy(update={"turns": (*comments, *solution.turns), "flags": flags, "tokens": cost})]

    async def _comment(self, task: Task, solution: Solution, said: str, models: Models) -> Turn:
        if self.critic == "rule":
            return Turn(kind=TurnKind.critique, text=_by_rule(task, solution), train=False)
        asked = (
            f"{said}\n\nThe illness is {task.private['answer']}. How could the doctor do better: ask more, repeat "
            "nothing, be short and kind? Answer in one sentence, without the name of the illness."
        )
        (reply,) = await replies_of(models["critic"], [Message(role=Role.user, content=asked)], self.sampling)
        clean = without_names(reply.text, task)
        kept = turn_of(reply, kind=TurnKind.critique, train=False)
        return kept if clean == reply.text else Turn(kind=TurnKind.critique, text=clean, train=False)


def dialogue(turns: Sequence[Turn]) -> str:
    """A consultation as lines of who said what."""
    return "\n".join(f"{_SPEAKERS[t.kind]}: {t.text}" for t in turns if t.kind in _SPEAKERS)


def without_names(comment: str, task: Task) -> str:
    """The comment without the illness's name, however it is written."""
    name = re.escape(str(task.private["answer"]))
    return re.sub(name, "the illness", comment, flags=re.IGNORECASE)


def _anew(task: Task, said: str, comment: str) -> Task:
    """The same case with the earlier dialogue and the comment before the patient's first words."""
    before = f"(An earlier try:\n{said}\nA critic says: {comment}\nThe patient comes in again.)\n\n"
    last = task.messages[-1]
    return task.model_copy(
        update={"messages": (*task.messages[:-1], last.model_copy(update={"content": before + last.content}))}
    )


def _by_rule(task: Task, solution: Solution) -> str:
    """What a critic of fixed rules says, who knows what is typical of the illness."""
    own = " ".join(t.text for t in solution.turns if t.kind is TurnKind.assistant).casefold()
    missed = [str(s) for s in task.private["typical"] if str(s) not in own and s != task.private["opening"]]
    asked = [t.text for t in solution.turns if t.kind is TurnKind.assistant]
    found = [f"Ask for {' and for '.join(missed[:2])}."] if missed else []
    if len(set(asked)) < len(asked):
        found.append("Do not ask the same twice.")
    return " ".join(found) or "Well asked."
