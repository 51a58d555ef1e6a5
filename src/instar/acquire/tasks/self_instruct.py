"""Questions that the model writes itself, from a few examples: as turns of a chat, about somebody named to it.

Papers: Wang et al., *Self-Instruct*, arXiv 2212.10560; Qiao et al., *AutoAct*, arXiv 2401.05268, section 2.1: from a
few examples the meta-agent writes questions and answers, shown two of the examples and three of its own, until
there are enough. Departures: the environment works out the answer (AutoAct keeps what the model made up, errors and
all), so a question that it cannot answer is dropped; two questions are the same when they ask the same, and not when
they have one answer; each ask says whom the question is to be about, for a small model makes up names.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.environments.village import Posing, Village
from instar.answers import replies_of
from instar.errors import ConfigError
from instar.protocols import Create, Created, Environment, Models
from instar.records import Message, Objective, Role, Sampling, Task

WRITE = "Write a question about {}."


class SelfInstruct(Create):
    """As many new questions of ``environment`` as the objective's budget, by ``models["self"]``, with ``fixed`` of the
    sources and ``own`` of what it wrote before shown in each ask. It stops short after ``patience`` asks for each that
    is wanted.

    Raises:
        ConfigError: an environment that takes no questions.
        EngineError: the model gave another number of replies than asked for.
    """

    name: ClassVar[str] = "self_instruct"

    environment: Environment = Village()
    fixed: int = Field(default=2, ge=1, le=20)
    own: int = Field(default=3, ge=0, le=20)
    at_once: int = Field(default=10, ge=1, le=200)
    """Asks that are made together: what they wrote is shown in the next ones."""
    patience: int = Field(default=3, ge=1, le=50)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=40)
    seed: int = 0

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created]:
        posing = self.environment
        if not isinstance(posing, Posing):
            raise ConfigError(
                f"the environment {posing.name} takes no questions that others wrote.",
                "Give it about() and posed() (instar.acquire.environments.village.Posing), or set questions = 0.",
            )
        wanted, like = sum(o.tasks for o in objectives), sources[0].private
        luck = random.Random(f"self_instruct|{self.seed}|{sources[0].canonical}")
        names = list(posing.about(like))
        shown = {t.canonical for t in (*sources, *seen)}
        made: list[Created] = []
        for _ in range(0, wanted * self.patience, self.at_once):
            if len(made) >= wanted:
                break
            asks = []
            for _ in range(self.at_once):
                of = luck.sample(list(sources), min(self.fixed, len(sources)))
                mine = luck.sample(made, min(self.own, len(made)))
                asks.append((luck.choice(names), of, [c.task for c in mine]))
            said = await asyncio.gather(
                *(replies_of(models["self"], _prompt([*of, *mine], names, name), self.sampling)
                  for name, of, mine in asks)
            )  # fmt: skip
            for (_, of, _), (reply,) in zip(asks, said, strict=True):
                task = posing.posed(reply.text.strip().partition("\n")[0], like)
                if task is not None and task.canonical not in shown and len(made) < wanted:
                    shown.add(task.canonical)
                    task = task.model_copy(update={"objective": objectives[0].id})
                    made.append(Created(task, tuple(t.id for t in of)))
        return made


def _prompt(examples: Sequence[Task], names: Sequence[str], name: str) -> list[Message]:
    """The examples as turns, each asked for by whom it is about, and the next name."""
    messages: list[Message] = []
    for task in examples:
        question = task.messages[-1].content
        about = next((n for n in names if n in question), "somebody")
        messages += [
            Message(role=Role.user, content=WRITE.format(about)),
            Message(role=Role.assistant, content=question),
        ]
    return [*messages, Message(role=Role.user, content=WRITE.format(name))]
