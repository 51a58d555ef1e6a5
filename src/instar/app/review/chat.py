"""A conversation with one policy: what was said so far, and the next reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from instar.protocols import Engine, Streams
from instar.records import Message, Policy, Reply, Role, Sampling, Task
from instar.records.exchange import SELF


class Talk:
    """Turns with a policy, on one engine. The policy's own prompt and few-shots come first, as when it was trained."""

    def __init__(self, engine: Engine, policy: Policy, sampling: Sampling, seed: int) -> None:
        self.engine, self.sampling, self.seed = engine, sampling, seed
        self.policy = policy.acting(SELF)
        self.precision = engine.precision_for("exam")  # what its scores were measured in
        self.said: list[Message] = []
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
        task = Task(messages=(*self.said, turn), ability="chat", canonical="", source="chat")
        reply = self._loop.run(self._reply(self.policy.prompt(task), on_token))
        self.said += [turn, Message(role=Role.assistant, content=reply.text)]
        return reply

    async def _reply(self, messages: tuple[Message, ...], on_token: Callable[[str], None] | None) -> Reply:
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
