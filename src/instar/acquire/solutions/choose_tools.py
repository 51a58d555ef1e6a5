"""Which tools a task needs, out of a library: the model is shown all of them and names some.

Paper: Qiao et al., *AutoAct*, arXiv 2401.05268, section 2.2: the meta-agent picks the tools of a task from a library,
by itself. Departure: it is asked about several questions, several times, and ``chosen`` counts: a small model names
other tools each time.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.environments.village import Posing, Village
from instar.answers import replies_of, solution_of
from instar.errors import ConfigError
from instar.protocols import Environment, Models, Solve
from instar.records import Experience, Message, Role, Sampling, Solution, Strategy, Task

WHICH = "Which tools answer this? Name them.\n{tools}\n\n{question}"


class ChooseTools(Solve):
    """``samples`` lists of tools that ``models["self"]`` names for a task, out of the library of ``environment``. The
    tools stand in another order for each task: the first ones are named more often.

    Raises:
        ConfigError: an environment without a library.
        EngineError: the model gave another number of replies than asked for.
    """

    name: ClassVar[str] = "choose_tools"

    environment: Environment = Village()
    samples: int = Field(default=4, ge=1)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=40)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        tools = library_of(self.environment)
        names = random.Random(f"choose_tools|{task.canonical}").sample(list(tools), len(tools))
        told = "\n".join(f"- {tools[name]}" for name in names)
        shown = list(models["self"].policy.prompt(task))
        asked = WHICH.format(tools=told, question=shown[-1].content)
        shown[-1] = Message(role=Role.user, content=asked)
        replies = await replies_of(models["self"], shown, self.sampling, self.samples)
        return [solution_of(task, r, self.sampling, strategy=Strategy.grounded) for r in replies]


def library_of(environment: Environment) -> Mapping[str, str]:
    """The tools of an environment by name. Raises ConfigError where it has none."""
    if not isinstance(environment, Posing):
        raise ConfigError(
            f"the environment {environment.name} has no library of tools.",
            "Give it one (instar.acquire.environments.village.Posing), or leave all tools as they are: tools = 0.",
        )
    return environment.library()


def called(messages: Sequence[Message], library: Mapping[str, str]) -> tuple[str, ...]:
    """The tools of a library that the assistant calls (``NAME[...]``) in these messages, in the library's order."""
    said = [m.content for m in messages if m.role is Role.assistant]
    return tuple(name for name in library if any(re.search(rf"\b{re.escape(name)}\[", text) for text in said))


def chosen(
    named: Sequence[Experience], library: Mapping[str, str], most: int, always: Sequence[str] = ()
) -> tuple[str, ...]:
    """The ``most`` tools that are named in most of these answers, in the library's order; those that nobody named
    last. What is ``always`` there counts among them, and is there however many those are."""
    counts: Counter[str] = Counter()
    for e in named:
        words = set(re.findall(r"[a-z]+", e.solution.text.lower()))
        counts.update(words & set(library))
    ranked = sorted(library, key=lambda name: (name not in always, -counts[name]))[: max(most, len(always))]
    return tuple(name for name in library if name in ranked)
