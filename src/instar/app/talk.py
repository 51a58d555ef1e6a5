"""A conversation with one policy: what was said so far, and the next reply."""

from __future__ import annotations

import asyncio
from types import TracebackType

from instar.protocols import Engine
from instar.records import Message, Policy, Reply, Role, Sampling, Task


class Talk:
    """Turns with a policy, on one engine. The policy's own prompt and few-shots come first, as when it was trained."""

    def __init__(self, engine: Engine, policy: Policy, sampling: Sampling, seed: int) -> None:
        self.engine, self.policy, self.sampling, self.seed = engine, policy, sampling, seed
        self.precision = engine.precision_for("exam")  # what its scores were measured in
        self.said: list[Message] = []
        self._loop = asyncio.Runner()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.close()

    def say(self, text: str) -> Reply:
        """The reply to one more message. A turn that fails is not remembered: it can be said again."""
        turn = Message(role=Role.user, content=text)
        task = Task(messages=(*self.said, turn), ability="chat", canonical="", source="chat")
        asked = self.engine.ask(
            self.policy, self.policy.prompt(task), n=1, sampling=self.sampling, seed=self.seed + len(self.said),
            precision=self.precision,
        )  # fmt: skip
        reply = self._loop.run(asked)[0]
        self.said += [turn, Message(role=Role.assistant, content=reply.text)]
        return reply

    def forget(self) -> None:
        """Begin again."""
        self.said.clear()
