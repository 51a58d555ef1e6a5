"""Questions turned round or told otherwise, so that their key is known exactly: MetaMath's bootstrapping.

Yu et al., *MetaMath: Bootstrap Your Own Mathematical Questions for Large Language Models*, arXiv 2309.12284, section 3.
``fobar``: a number of the question becomes X, the answer is told, and X is asked for (after Jiang et al., arXiv
2308.07758). ``self_verification``: the question and its answer become a statement, a number of it x. ``rephrase``: the
model says the question in other words; the key stays.

Departures:
- A question turned round is dropped where another number at X's place gives the same answer, which can be told where
  the question is plain arithmetic. The paper keeps those that cannot be answered.
- The statement is made by a rule where the question is plain arithmetic, by the model elsewhere.
- A rephrased question must have all numbers of the original and no others. The paper answers it and compares; here a
  recipe does, since what nobody answers rightly is not learned from.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from pydantic import Field

from instar.acquire.tasks.rouge import rouge_l
from instar.arithmetic import value_of
from instar.leaks import content_of
from instar.protocols import Create, Created, Model, Models, Refused
from instar.records import Finish, Message, Objective, Role, Sampling, Task, hash_of

How = Literal["fobar", "self_verification", "rephrase"]

NO_KEY = "its source has no number for an answer"
NO_NUMBER = "its source has no number that could be asked for"
UNDETERMINED = "another number would give the same answer"
OTHER_NUMBERS = "it has not the numbers of its source"
SAME_WORDS = "it is in the words of its source"
CUT = "the reply was cut"

ASK_FOBAR = (
    "{question} If we know the answer to the above question is {answer}, what is the value of unknown variable X?"
)
ASK_VERIFICATION = "{statement} What is the value of unknown variable x?"
REWORD = "Say this question in other words. Keep all its numbers. Write the question alone.\n\n{question}"
STATE = (
    "Write this question and its answer as one statement. Keep all numbers. Write the statement alone.\n\n"
    "Question: {question}\nAnswer: {answer}"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")
_EXPRESSION = re.compile(r"\d[\d\s().+*/×÷·−–-]*[\d)]")  # noqa: RUF001 - look-alike signs are meant


class Bootstrapped(Create):
    """One new question of each of at most as many sources as the objectives want, in one of ``ways`` by lot. Only
    ``rephrase``, and ``self_verification`` of what is no plain arithmetic, ask the model."""

    name: ClassVar[str] = "bootstrapped"

    called: str = "bootstrapped"
    ways: tuple[How, ...] = Field(default=get_args(How), min_length=1)
    rouge: float = Field(default=0.9, gt=0, le=1)
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=128)

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        luck = random.Random(hash_of("bootstrap", [o.id for o in objectives]))
        parents = luck.sample(list(sources), min(sum(o.tasks for o in objectives), len(sources)))
        ways = [luck.choice(self.ways) for _ in parents]
        lots = [luck.random() for _ in parents]
        found = await asyncio.gather(
            *(self._made(models["self"], t, way, lot) for t, way, lot in zip(parents, ways, lots, strict=True))
        )
        return [
            Refused(x) if isinstance(x, str) else Created(self._task(t, way, *x, objectives[0].id), (t.id,))
            for t, way, x in zip(parents, ways, found, strict=True)
        ]

    async def _made(self, model: Model, task: Task, way: How, lot: float) -> tuple[str, str] | str:
        """(question, key), or why there is none."""
        question, gold = " ".join(task.question.split()), task.private.get("answer")
        if gold is None or value_of(str(gold)) is None:
            return NO_KEY
        answer = str(gold)
        if way == "rephrase":
            return await self._reworded(model, question, answer)
        return (
            turned_round(question, answer, lot) if way == "fobar" else await self._stated(model, question, answer, lot)
        )

    async def _reworded(self, model: Model, question: str, answer: str) -> tuple[str, str] | str:
        text = await self._said(model, REWORD.format(question=question))
        if text is None:
            return CUT
        if content_of(text).counted != content_of(question).counted:
            return OTHER_NUMBERS
        return SAME_WORDS if rouge_l(question, text) > self.rouge else (text, answer)

    async def _stated(self, model: Model, question: str, answer: str, lot: float) -> tuple[str, str] | str:
        sums = [m for m in _EXPRESSION.finditer(question) if value_of(m.group()) is not None]
        if len(sums) == 1 and value_of(sums[0].group()) == value_of(answer):
            statement: str | None = f"{sums[0].group().strip()} is {answer}."
        else:
            statement = await self._said(model, STATE.format(question=question, answer=answer))
        if statement is None:
            return CUT
        if sorted(_NUMBER.findall(statement)) != sorted([*_NUMBER.findall(question), *_NUMBER.findall(answer)]):
            return OTHER_NUMBERS
        before = statement.rfind(answer)
        places = [m for m in _NUMBER.finditer(statement) if m.start() < before]
        if not places:
            return NO_NUMBER
        at = places[int(lot * len(places))]
        if _undetermined(statement[:before], at):
            return UNDETERMINED
        hidden = f"{statement[: at.start()]}x{statement[at.end() :]}"
        return ASK_VERIFICATION.format(statement=hidden), at.group()

    async def _said(self, model: Model, prompt: str) -> str | None:
        """The first line of a reply; None for one that was cut, or is empty."""
        (reply,) = await model.ask([Message(role=Role.user, content=prompt)], sampling=self.sampling)
        line = next((x.strip().strip('"') for x in reply.text.splitlines() if x.strip()), "")
        return line if line and reply.finish is not Finish.length else None

    def _task(self, parent: Task, way: How, question: str, key: str, objective: str) -> Task:
        return Task(
            messages=(Message(role=Role.user, content=question),), ability=self.called, source=f"{self.name}/{way}",
            canonical=f"{way}:{parent.canonical}:{key if way != 'rephrase' else question}", objective=objective,
            private={"answer": key},
        )  # fmt: skip


def turned_round(question: str, answer: str, lot: float) -> tuple[str, str] | str:
    """The question that asks for one of its numbers, and that number; or why there is none. ``lot`` from 0 to 1."""
    places = list(_NUMBER.finditer(question))
    if not places:
        return NO_NUMBER
    at = places[int(lot * len(places))]
    if _undetermined(question, at):
        return UNDETERMINED
    hidden = f"{question[: at.start()]}X{question[at.end() :]}"
    return ASK_FOBAR.format(question=hidden, answer=answer), at.group()


def _undetermined(text: str, at: re.Match[str]) -> bool:
    """Whether the plain arithmetic around a number comes to the same with others in its place."""
    for found in _EXPRESSION.finditer(text):
        if found.start() <= at.start() < found.end() and (value := value_of(found.group())) is not None:
            head, tail = text[found.start() : at.start()], text[at.end() : found.end()]
            return any(value_of(f"{head}{float(at.group()) + more:g}{tail}") == value for more in (1, 7))
    return False
