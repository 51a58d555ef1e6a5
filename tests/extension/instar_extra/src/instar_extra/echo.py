"""An engine without a model: it answers every question with the same sentence, spaced so that samples differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from instar.errors import EngineError
from instar.protocols import Engine
from instar.records import Finish, Message, Policy, Reply, Sampling

ANSWER = "The answer is 7."


class EchoEngine:
    """Answers "The answer is 7."; the second sample ends with a space more than the first, and so on."""

    name = "echo"
    batch_invariant = True
    concurrency = 64
    resident_max = 1

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies of five tokens each, whatever the seed. Raises EngineError on an empty prompt."""
        if not any(m.content.strip() for m in messages):
            raise EngineError("echo was asked with an empty prompt.", "Give it at least one message with text.")
        return [self._reply(policy, precision, i, sampling.max_tokens) for i in range(n)]

    def _reply(self, policy: Policy, precision: str, i: int, room: int) -> Reply:
        words = ANSWER.replace(".", " .").split()
        cut = len(words) > room
        text = " ".join(words[:room]) if cut else ANSWER + " " * i
        return Reply(
            text=text,
            finish=Finish.length if cut else Finish.stop,
            policy=policy.id,
            engine=self.name,
            precision=precision,
            tokens=min(len(words), room),
        )

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """Raises EngineError: a sentence that is always the same has no probabilities worth a number."""
        raise EngineError("echo has no log-probabilities.", "Score with an engine that has a model.")

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        """There is no arithmetic here, so there is one precision."""
        return "exact"

    def busy_seconds(self) -> float:
        """It never works."""
        return 0.0

    def evict(self, policy: Policy) -> None:
        """Nothing is held."""

    def unload(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


def echo(context: object) -> Engine:
    """The factory behind the entry point. It is handed an ``instar.app.configs.registry.EngineContext`` (artefacts, a
    scratch folder, the options of the config) and needs none of it."""
    return EchoEngine()
