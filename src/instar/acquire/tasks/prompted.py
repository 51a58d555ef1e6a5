"""How a task is put to the model: a template around its question, and worked examples before it as turns of the chat.

Another source draws the tasks; what is judged of them, and what makes two of them the same, stays the source's. In a
config, ``template`` and ``shots`` stand beside the other settings of any source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from instar.acquire.tasks.canonical import canonical
from instar.errors import ConfigError, DataError
from instar.protocols import Source
from instar.records import Message, Role, Task

_SLOT = re.compile(r"\{(\w+)\}")
HIDDEN = ("answer",)
"""Columns that no template may show."""


class Prompted(Source):
    """``inner``'s tasks, asked in the words of ``template``, after ``shots``.

    ``template`` holds ``{question}``, and may hold ``{column}`` for any other column of a row; "" is the question as it
    is. Each of ``shots`` has a ``question`` and an ``answer`` (and the template's other columns): the first is shown as
    the user's turn, in the same template, the second as the model's. A task that is one of the shots is in no set: one
    that has seen the answer would examine nothing. Examples as turns were measured to help small models, the same
    examples inside the question to hurt (docs/design).

    Raises:
        ConfigError: a template without its question, or one that shows the answer; a shot that lacks one of the two.
        DataError: a row without a column of the template; or the source's own.
    """

    name: ClassVar[str] = "prompted"

    inner: Source
    template: str = ""
    shots: tuple[dict[str, str], ...] = Field(default=())

    @field_validator("template")
    @classmethod
    def _shows(cls, value: str) -> str:
        slots = _SLOT.findall(value)
        if value and "question" not in slots:
            raise ConfigError("the template does not say where the question goes.", "Write {question} in it.")
        if shown := [s for s in slots if s in HIDDEN]:
            raise ConfigError(f"the template shows {{{shown[0]}}}, the gold answer.", "Leave it out.")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Prompted:
        for number, shot in enumerate(self.shots, 1):
            for column in dict.fromkeys(("question", "answer", *_SLOT.findall(self.template))):
                if not shot.get(column, "").strip():
                    raise ConfigError(f"shot {number} has no {column}.", "Give it one, or leave this shot out.")
        return self

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        shown = {canonical(s["question"], s) for s in self.shots}
        more: Counter[str] = Counter()
        while True:
            drawn = self.inner({name: n + more[name] for name, n in wanted.items()}, seeds)
            fresh = {name: [t for t in tasks if t.canonical not in shown] for name, tasks in drawn.items()}
            lacking = {name: n - len(fresh[name]) for name, n in wanted.items() if len(fresh[name]) < n}
            if not lacking:
                return {name: [self.put(t) for t in fresh[name][:n]] for name, n in wanted.items()}
            more.update(lacking)

    def put(self, task: Task) -> Task:
        """The task as it is asked: its system text, the shots, what was said before its question, and that in its
        template."""
        *before, last = task.messages
        system = [m for m in before if m.role is Role.system]
        turns: list[Message] = []
        for shot in self.shots:
            turns.append(Message(role=Role.user, content=self.asked(shot["question"], shot)))
            turns.append(Message(role=Role.assistant, content=shot["answer"]))
        said = [m for m in before if m.role is not Role.system]
        asked = last.model_copy(update={"content": self.asked(last.content, task.private)})
        return task.model_copy(update={"messages": (*system, *turns, *said, asked)})

    def asked(self, question: str, columns: Mapping[str, Any]) -> str:
        """A question in the template. Raises DataError for a column that is not there."""
        if not self.template:
            return question
        known = {**columns, "question": question}

        def filled(slot: re.Match[str]) -> str:
            if slot[1] not in known:
                there = ", ".join(k for k in known if k not in HIDDEN)
                raise DataError(f"the template shows {{{slot[1]}}}, and a row has no such column.", f"It has {there}.")
            return str(known[slot[1]])

        return _SLOT.sub(filled, self.template)
