"""A clinic without weights: an engine that plays all four roles by a table of skills, and an update that raises them.

As a program it works on a run in a folder, to be killed: ``python -m tests.recipes.clinic FOLDER SECONDS_AN_ASK``.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.taken import Taken

from instar.acquire.environments.clinic import Clinic
from instar.acquire.environments.clinic_cases import (
    answered,
    asked,
    diagnosed,
    diagnosis,
    posterior,
    question,
    ranked,
    telling,
)
from instar.engines.scripted.engine import ScriptedEngine, _chance
from instar.errors import StoreError
from instar.protocols import Update, UpdateContext
from instar.recipes.amie import Amie, amie
from instar.records import Experience, Finish, Message, Policy, Reply, Role, Sampling, Task, Weights, mint
from instar.refine.corrections.reconsult import Reconsult
from instar.run.run import Run, Sets
from instar.scripted_world import weights_of
from tests.run.test_run import run_in, stored

LEAK = "It is {}, and {} it stays. Ask for more."
"""What the critic of this engine says: it gives away what it is told."""
WANTED = {"train": 24, "dev": 4, "gate": 8, "sealed": 4}
SEEDS = {"train": 1, "dev": 2, "gate": 3, "sealed": 4}


class ClinicEngine(ScriptedEngine):
    """The doctor follows the rules with the chance ``doctor`` and else makes talk, the patient says what is so with the
    chance ``patient``. ``breaks``: asks after which the plug is pulled."""

    def __init__(self, *, latency: float = 0.0, breaks: int | None = None) -> None:
        super().__init__(latency=latency)
        self.breaks, self.asks = breaks, 0
        self.shown: list[tuple[Message, ...]] = []

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        self.asks += 1
        if self.breaks is not None and self.asks > self.breaks:
            raise StoreError("pulled the plug")
        await asyncio.sleep(self.latency)
        self.shown.append(tuple(messages))
        shown = [(m.role.value, m.content) for m in messages]
        drawn = _chance("greedy", shown) if sampling.temperature == 0 else _chance("sample", policy.id, shown, seed)
        said = spoken(messages, dict(policy.weights.skills or {}), drawn)
        reply = Reply(text=said, finish=Finish.stop, policy=policy.id, engine=self.name, precision=precision,
                      prompt_tokens=9, tokens=len(said.split()), adapter=policy.weights.adapter)  # fmt: skip
        return [reply] * n


def spoken(messages: Sequence[Message], skills: dict[str, float], drawn: float) -> str:
    """What the role says that these messages are shown to."""
    first, last = messages[0].content, messages[-1].content
    if first.startswith("You play a patient"):
        has = first.partition("You have ")[2].removesuffix(", nothing else.").split(", ")
        true = answered(has, last)
        if drawn < skills.get("patient", 0.5) or true not in ("Yes.", "No."):
            return true
        return "No." if true == "Yes." else "Yes."
    if first.startswith("You play a doctor"):
        known = known_to(messages)
        if drawn >= skills.get("doctor", 0.2):
            return "How do you like the weather?"
        symptom = telling(known)
        if symptom is None or max(posterior(known).values()) >= 0.9:
            return diagnosis(ranked(known)[:3])
        return question(symptom)
    if '"Better: A"' in last:
        a, b = (("Diagnosis: " in text) for text in last.rpartition("<<<B")[::2])
        return f"The one that comes to a diagnosis.\nBetter: {'tie' if a == b else 'A' if a else 'B'}"
    if found := re.search(r"The illness is (\w+)\.", last):
        return LEAK.format(found[1], found[1].upper())
    return "No."


def known_to(messages: Sequence[Message]) -> dict[str, bool]:
    """What the doctor knows of the case at hand: the complaint and the answers since."""
    begun = max(i for i, m in enumerate(messages) if m.role is Role.user and "Hello, I am" in m.content)
    known = {str(asked(messages[begun].content.rpartition("I have")[2])): True}
    for said, heard in zip(messages[begun + 1 :: 2], messages[begun + 2 :: 2], strict=False):
        if (symptom := asked(said.content)) is not None:
            known[symptom] = heard.content.startswith("Yes")
    return known


class Taught(Update):
    """Each turn to be learned that is as it should be moves its role's skill up; any other moves it down."""

    name: ClassVar[str] = "taught_in_a_test"

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        skills = {"doctor": 0.2, "patient": 0.5, **dict(policy.weights.skills or {})}
        for e in data:
            role = str(e.task.private["role"])
            for place, turn in enumerate(e.solution.turns):
                if turn.train:
                    fine = _fine(e.task, turn.text, e.solution.turns[place - 1].text)
                    skills[role] += 0.06 * (1 - skills[role]) if fine else -0.05 * skills[role]
        weights: Weights = weights_of(skills)
        return policy.model_copy(
            update={"weights": weights, "parent": policy.id, "made_by": self.name, "id": ""}
        ).identified()


def _fine(task: Task, said: str, before: str) -> bool:
    if task.private["role"] == "patient":
        return said == answered(task.private["symptoms"], before)
    named = diagnosed(said)
    return named[0] == task.private["answer"] if named else asked(said) is not None


def settings(**more: object) -> Amie:
    return Amie(train=Taught(), gate=Taken(), **more)


def opened(folder: Path, engine: ClinicEngine) -> Run:
    """The run in a folder, begun or gone on with."""
    folder.mkdir(exist_ok=True)
    drawn = Clinic(sides=True)(WANTED, SEEDS)
    sets, at = {}, 0
    for name, tasks in drawn.items():
        sets[name] = tuple(
            t.model_copy(update={"id": mint("task", "i1:t", (), 0, at + i)}) for i, t in enumerate(tasks)
        )
        at += len(tasks)
    run = run_in(folder, engine)
    if not run.ledger.has_work():
        stored(run, sets["train"])
    run.tasks = Sets(sets["train"], sets["dev"], sets["gate"], sets["sealed"])
    return run


def work(folder: Path, engine: ClinicEngine, cfg: Amie) -> tuple[Policy, Run]:
    """The recipe, from where it was to its end."""
    run = opened(folder, engine)
    try:
        return asyncio.run(amie(run, cfg)), run
    finally:
        run.ledger.close()


BY_MODELS = settings(
    refine=Reconsult(consult=Amie().simulate, critic="model"),
    simulate=Amie().simulate.model_copy(update={"moderator": "model"}),
)
"""All four roles are played."""

if __name__ == "__main__":
    work(Path(sys.argv[1]), ClinicEngine(latency=float(sys.argv[2])), BY_MODELS)
