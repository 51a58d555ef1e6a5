"""The model writes its own tasks, and a machine finds their keys: the proposer of Absolute Zero.

Zhao et al., *Absolute Zero: Reinforced Self-play Reasoning with Zero Data*, arXiv 2505.03335, sections 3.1 to 3.3: the
model is shown up to 6 tasks of the past and asked for a different one; what it writes is validated by an executor,
which also gives the answer; a program must give the same twice.

Departures:
- Of the paper's three kinds of program task, deduction alone (program and input, what comes out?); and expressions, for
  models that write no programs. The buffer begins with a few seeds here, with one identity function there.
- The examples are turns of the conversation, not a part of the question: a small model follows those alone.
- What is to be novel is compared with all that was seen, by normal form and by what it asks in whatever words. The
  paper's reward for learnability decides which tasks are shown next (``refine.filters.learnable``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.tasks.executed import result_of, values_of
from instar.acquire.tasks.proposals import Proposal, read_expression, read_program
from instar.borders import crossing
from instar.made import KEY_OTHER
from instar.protocols import Create, Created, Model, Models, Refused
from instar.records import Message, Objective, Role, Sampling, Task, hash_of
from instar.sandbox import open_sandbox
from instar.sandbox.room import Kind

REQUEST = "Write another arithmetic expression, with other numbers."
REQUEST_PROGRAM = "Write another Python function f that takes plain values, and below it a call of f."
AT_ONCE = 16
"""Asks in flight."""


class Proposer(Create):
    """Asks ``models["proposer"]`` (else "self") for tasks until there are as many new ones as the objectives want, or
    ``tries`` times as many proposals were made.

    ``of``: ``expression``, whose key is computed exactly by four rules; or ``program``, a function and a call, whose
    key is what it gives in the sandbox. An expression has at most ``terms`` numbers of ``digits`` digits. ``shown``
    tasks of the sources stand before each request (6 is the paper's), ``seeds`` where there are too few. ``asks`` is
    the question that a task puts, ``called`` the ability that it is told as. ``audit`` keys are found again in another
    way: by Python's own evaluator, or by a third run. A run may take ``seconds`` of processor time and ``memory``
    bytes.

    A proposal that is no task is refused with a reason of its kind, and never run outside the sandbox.

    Raises:
        SandboxError: this machine has no sandbox, and programs or an audit need one.
    """

    name: ClassVar[str] = "proposer"

    of: Literal["expression", "program"] = "expression"
    called: str = "proposed"
    asks: str = Field(default="Calculate {}.", pattern=r"^[^{}]*\{\}[^{}]*$")
    seeds: tuple[str, ...] = ("3 + 4", "12 - 5", "8 + 16", "40 - 13")
    program_seeds: tuple[str, ...] = (
        "```python\ndef f(x):\n    return x\n```\nf(5)",
        "```python\ndef f(a, b):\n    return a * 2 + b\n```\nf(3, 4)",
    )
    shown: int = Field(default=6, ge=1, le=32)
    samples: int = Field(default=8, ge=1)
    tries: float = Field(default=4.0, ge=1, le=100)
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=24)
    digits: int = Field(default=3, ge=1, le=12)
    terms: int = Field(default=6, ge=2, le=32)
    audit: int = Field(default=20, ge=0)
    seconds: float = Field(default=2.0, gt=0, le=60, allow_inf_nan=False)
    memory: int = Field(default=256 * 2**20, ge=64 * 2**20)
    sandbox: Kind = "auto"
    allow_weaker: bool = False

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises SandboxError on a machine without the sandbox that programs, or the audit of keys, need."""
        if self.of == "program" or self.audit:
            open_sandbox(self.sandbox, allow_weaker=self.allow_weaker)

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        model = models.get("proposer", models["self"])
        wanted = sum(o.tasks for o in objectives)
        most = max(1, round(wanted * self.tries))
        known, said, new, proposed = {t.canonical for t in seen}, list[Created | Refused](), 0, 0
        for wave in range(most):
            if new >= wanted or proposed >= most:
                break
            asks = min(AT_ONCE, -(-min(wanted - new, most - proposed) // self.samples))
            for shown, replies in await self._wave(model, objectives, sources, wave, asks):
                proposed += len(replies)
                for found in await self._read(model, replies):
                    if isinstance(found, str):
                        said.append(Refused(found))
                        continue
                    if found.canonical not in known:
                        if new >= wanted:
                            continue
                        known.add(found.canonical)
                        new += 1
                    said.append(Created(self._task(found, objectives[0].id), shown))
        return await self._audited(model, said)

    async def _wave(
        self, model: Model, objectives: Sequence[Objective], sources: Sequence[Task], wave: int, asks: int
    ) -> list[tuple[tuple[str, ...], list[str]]]:
        """For each ask the ids of the tasks that it showed, and what was said."""
        picked = [self._examples(objectives, sources, wave, i) for i in range(asks)]
        request = REQUEST if self.of == "expression" else REQUEST_PROGRAM
        prompts = [
            [
                m
                for _, text in examples
                for m in (Message(role=Role.user, content=request), Message(role=Role.assistant, content=text))
            ]
            for examples in picked
        ]
        last = Message(role=Role.user, content=request)
        replies = await asyncio.gather(
            *(model.ask([*p, last], n=self.samples, sampling=self.sampling) for p in prompts)
        )
        ids = (tuple(dict.fromkeys(id for id, _ in examples if id)) for examples in picked)
        return [(shown, [r.text for r in own]) for shown, own in zip(ids, replies, strict=True)]

    def _examples(
        self, objectives: Sequence[Objective], sources: Sequence[Task], wave: int, place: int
    ) -> list[tuple[str, str]]:
        """(id, text) of what one ask shows: drawn from the sources, and from the seeds where there are too few."""
        luck = random.Random(hash_of("examples", [o.id for o in objectives], wave, place))
        seeds = [("", s) for s in (self.seeds if self.of == "expression" else self.program_seeds)]
        own = [(t.id, text) for t in sources if (text := _as_proposed(t))]
        pool = own if len(own) >= self.shown else [*own, *seeds]
        return luck.sample(pool, min(self.shown, len(pool)))

    async def _read(self, model: Model, replies: Sequence[str]) -> list[Proposal | str]:
        """Each reply as a proposal with its key, or why it is none."""
        if self.of == "expression":
            return [read_expression(r, digits=self.digits, terms=self.terms) for r in replies]
        read = [read_program(r) for r in replies]
        return list(await asyncio.gather(*(self._executed(model, p) for p in read)))

    async def _executed(self, model: Model, p: Proposal | str) -> Proposal | str:
        if isinstance(p, str):
            return p
        key, why = await self._run(model, p.shown, p.call, 0)
        return why or p._replace(key=key)

    async def _run(self, model: Model, program: str, call: str, turn: int) -> tuple[str, str]:
        async def work() -> list[str]:
            return list(
                await result_of(
                    program, call, seconds=self.seconds, memory=self.memory, kind=self.sandbox,
                    allow_weaker=self.allow_weaker,
                )
            )  # fmt: skip

        key, why = await crossing(model, "execute", {"program": program, "call": call, "turn": turn}, work)
        return str(key), str(why)

    def _task(self, p: Proposal, objective: str) -> Task:
        question = self.asks.format(p.shown)
        if self.of == "program":
            question = f"What does the call {p.call} give?\n```python\n{p.shown}\n```"
        return Task(
            messages=(Message(role=Role.user, content=question),), ability=self.called, canonical=p.canonical,
            source=f"{self.name}/{self.of}", difficulty=float(p.size), objective=objective,
            private={"answer": p.key, "proposed": p.shown, "call": p.call},
        )  # fmt: skip

    async def _audited(self, model: Model, said: Sequence[Created | Refused]) -> list[Created | Refused]:
        """The same; of the first tasks of an even spread, keys that another way does not find are refused."""
        made = [i for i, x in enumerate(said) if isinstance(x, Created)]
        step = max(1, len(made) // self.audit) if self.audit else 0
        places = made[::step][: self.audit] if step else []
        tasks = [x.task for i in places if isinstance(x := said[i], Created)]
        right = dict(zip(places, await self._again(model, tasks), strict=True)) if tasks else {}
        out: list[Created | Refused] = []
        for i, x in enumerate(said):
            if right.get(i) is None or isinstance(x, Refused):
                out.append(x)
            else:
                out.append(x._replace(key_again=True) if right[i] else Refused(KEY_OTHER))
        return out

    async def _again(self, model: Model, tasks: Sequence[Task]) -> list[bool | None]:
        """Whether another way finds the key of each; None where it found nothing."""
        if self.of == "program":
            runs = [self._run(model, t.private["proposed"], t.private["call"], 1) for t in tasks]
            return [None if why else key == t.private["answer"] for t, (key, why) in
                    zip(tasks, await asyncio.gather(*runs), strict=True)]  # fmt: skip
        texts = [str(t.private["proposed"]) for t in tasks]

        async def work() -> list[str]:
            return await values_of(texts, kind=self.sandbox, allow_weaker=self.allow_weaker)

        values = await crossing(model, "execute", {"expressions": texts}, work)
        if len(values) != len(tasks):
            return [None] * len(tasks)
        return [Fraction(v) == Fraction(t.private["answer"]) for v, t in zip(values, tasks, strict=True)]


def _as_proposed(task: Task) -> str:
    """How a task of a proposer was proposed; "" of any other."""
    text, call = task.private.get("proposed"), task.private.get("call")
    if not isinstance(text, str):
        return ""
    return f"```python\n{text}\n```\n{call}" if call else text
