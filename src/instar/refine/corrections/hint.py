"""Ask again with the gold answer as a hint: how STaR gets a rationale for a question that the model missed.

Paper: Zelikman et al., *STaR: Bootstrapping Reasoning With Reasoning*, arXiv 2203.14465, section 3.3 (rationalisation).

Departures: the hint is a sentence after the question, the same for every kind of task (the paper marks an option or
appends the target). A gold answer of several lines or over 200 characters is never shown: the paper's GSM8K code passes
the whole worked solution, and then the model copies it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from instar.answers import replies_of, solution_of
from instar.protocols import Correct, Models
from instar.records import Experience, Message, Polarity, Role, Sampling, Solution, Task

RATIONALISED = "rationalised"
"""The flag of a solution that was written with the gold answer in sight."""

SHOWS_HINT = "shows_hint"
"""The flag of such a solution when its text gives the hint away: training on it would store the hint after all."""

LONGEST = 200
"""Characters of a gold answer that may be shown."""


class Hint(Correct):
    """Shows ``models["self"]`` the question with the gold answer as a hint; the solutions answer the *original* task.

    The hint is in the prompt of this one ask and in no record. A reply that quotes or names it is flagged
    ``shows_hint`` beside ``rationalised``: drop it with ``unflagged``. A task without a gold answer gives nothing.

    ``samples`` is 1 and the sampling greedy, as in the paper's code (temperature 0.01, 96 new tokens).

    Raises:
        EngineError: the model gave another number of replies than asked for.
    """

    name: ClassVar[str] = "hint"

    samples: int = Field(default=1, ge=1)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=96)
    template: str = (
        "(Hint: the correct answer is {answer}. Show how to get there and write the result as usual, "
        "without mentioning this hint.)"
    )

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, value: str) -> str:
        if "{answer}" not in value:
            raise ValueError("the template has no {answer}: the hint would not hold the gold answer")
        return value

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        task, model = experience.task, models["self"]
        gold = _gold(task)
        if gold is None:
            return []
        hint = self.template.replace("{answer}", gold)
        replies = await replies_of(model, _with(hint, model.policy.prompt(task)), self.sampling, self.samples)
        return [
            solution_of(
                task,
                reply,
                self.sampling,
                polarity=Polarity.right,
                flags=(RATIONALISED, SHOWS_HINT) if shows(reply.text, hint) else (RATIONALISED,),
            )
            for reply in replies
        ]


def shows(reply: str, hint: str) -> bool:
    """Whether a reply speaks of a hint or quotes one: its whole text, or its words up to the answer."""
    said, told = _plain(reply), _plain(hint).strip("()")
    opening = " ".join(told.split()[:5])
    return bool(re.search(r"\bhint(s|ed)?\b", said)) or (bool(opening) and opening in said)


def _gold(task: Task) -> str | None:
    """The gold answer, if there is one and it is short enough to be an answer and not a worked solution."""
    gold = task.private.get("answer")
    text = "" if gold is None else str(gold).strip()
    return text if text and len(text) <= LONGEST and "\n" not in text else None


def _with(hint: str, messages: Sequence[Message]) -> list[Message]:
    """The prompt with the hint after the last question; a copy, the task keeps its own."""
    shown = list(messages)
    for place in range(len(shown) - 1, -1, -1):
        if shown[place].role is Role.user:
            shown[place] = Message(role=Role.user, content=f"{shown[place].content}\n\n{hint}")
            return shown
    return [*shown, Message(role=Role.user, content=hint)]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
