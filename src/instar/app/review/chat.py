"""A conversation with one policy: what was said so far, what it recalls, and the next reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from instar.acquire.solutions.advised import Advised
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.sample import Sample
from instar.app.configs.config import Plan
from instar.app.storage.paths import artefacts
from instar.errors import ConfigError
from instar.memory.library import Library
from instar.protocols import Engine, Found, Query, Solve, Streams
from instar.records import Message, Note, Policy, Reply, Role, Sampling, Task
from instar.records.exchange import SELF


def recalling(policy: Policy, plan: Plan | None, *, who: str | None, now: float | None) -> partial[Talk]:
    """How to talk with a policy so that it recalls as in the exam of its run. Raises ConfigError for ``who`` or ``now``
    where there is nothing to recall."""
    if policy.memory is None and (who is not None or now is not None):
        raise ConfigError("this policy has no memory, so who speaks, and when, is nothing to it.", "Leave that out.")
    library = None if policy.memory is None else Library(artefacts())
    exam = None if plan is None else getattr(plan.settings, "exam", None)
    return partial(Talk, library=library, solve=getattr(exam, "solve", None), who=who, now=now)


class Talk:
    """Turns with a policy, on one engine. The policy's own prompt and few-shots come first, as when it was trained.

    A policy with a memory recalls from it for each turn as its exam does (``solve``; Recalling where that does not look
    into one): what ``who`` told, and what is nobody's without one, up to the day ``now``. What it recalled for the last
    reply is ``recalled``. Nothing that is said here changes the memory.
    """

    def __init__(
        self, engine: Engine, policy: Policy, sampling: Sampling, seed: int, *, library: Library | None = None,
        solve: Solve | None = None, who: str | None = None, now: float | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.sampling, self.seed = engine, sampling, seed
        self.policy = policy.acting(SELF)
        self.precision = engine.precision_for("exam")  # what its scores were measured in
        self.said: list[Message] = []
        self.recalled: tuple[Note, ...] = ()
        self.library, self.who, self.now = library, who, now
        looking = solve if isinstance(solve, Recalling | Advised) else Recalling()
        self.solve = looking.model_copy(update={"inner": Sample(samples=1, sampling=sampling)})
        self._loop = asyncio.Runner()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.close()

    def say(self, text: str, on_token: Callable[[str], None] | None = None) -> Reply:
        """The reply to one more message. A turn that fails is not remembered: it can be said again.

        ``on_token`` gets the text in pieces as it is written, where the engine can tell it; else all of it at the end.
        """
        turn = Message(role=Role.user, content=text)
        task = Task(
            messages=(*self.said, turn), ability="chat", canonical="", source="chat", who=self.who, when=self.now
        )
        reply = self._loop.run(self._reply(task, on_token))
        self.said += [turn, Message(role=Role.assistant, content=reply.text)]
        return reply

    async def _reply(self, task: Task, on_token: Callable[[str], None] | None) -> Reply:
        if self.policy.memory is None or self.library is None:
            return await self.ask(self.policy.prompt(task), on_token)
        speaking = _Speaking(self, self.library, self.policy.memory, on_token)
        (solution,) = await self.solve(task, {SELF: speaking})
        notes = self.library.notes(self.policy.memory)
        self.recalled = tuple(notes[id] for id in solution.memories)
        return speaking.replies[-1]

    async def ask(self, messages: Sequence[Message], on_token: Callable[[str], None] | None) -> Reply:
        """The reply to a whole prompt."""
        seed = self.seed + len(self.said)
        if on_token is not None and isinstance(self.engine, Streams):
            return await self.engine.stream(
                self.policy, messages, sampling=self.sampling, seed=seed, precision=self.precision, on_token=on_token
            )
        (reply,) = await self.engine.ask(
            self.policy, messages, n=1, sampling=self.sampling, seed=seed, precision=self.precision
        )
        if on_token is not None:
            on_token(reply.text)
        return reply

    def forget(self) -> None:
        """Begin again."""
        self.said.clear()
        self.recalled = ()


@dataclass
class _Speaking:
    """The policy as an operator asks it: nothing is journalled, for a conversation is of no run."""

    talk: Talk
    library: Library
    root: str
    on_token: Callable[[str], None] | None

    def __post_init__(self) -> None:
        self.policy = self.talk.policy
        self.replies: list[Reply] = []

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        self.replies.append(await self.talk.ask(messages, self.on_token))
        return self.replies[-n:]

    async def recall(self, query: Query) -> Sequence[Found]:
        return await asyncio.to_thread(self.library.recall, self.root, query)
