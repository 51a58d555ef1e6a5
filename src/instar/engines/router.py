"""Several engines as one: each policy is answered by the engine that its weights need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from instar.errors import EngineError
from instar.protocols import Engine, Holds, Streams
from instar.records import Message, Policy, Reply, Sampling


class Router:
    """Answers with ``home`` for the policies that evolve, and with another engine for those whose weights are at one
    of these places (``Weights.place``): a judge on a server, say. A reply is stamped by the engine that made it.

    Its name, precisions and exams are those of ``home``: what is examined is what evolves.
    """

    def __init__(self, home: Engine, others: Mapping[str, Engine]) -> None:
        self._home, self._others = home, dict(others)
        self.name = home.name
        self.batch_invariant = all(e.batch_invariant for e in self._all())
        self.concurrency = max(e.concurrency for e in self._all())  # each keeps to its own besides

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """As the engine that has the policy's weights."""
        return await self._of(policy).ask(policy, messages, n=n, sampling=sampling, seed=seed, precision=precision)

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        on_token: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """As the engine that has the policy's weights. Raises EngineError where that one does not stream."""
        engine = self._of(policy)
        if not isinstance(engine, Streams):
            raise EngineError(f"The {engine.name} engine does not stream.", "Use ask.")
        return await engine.stream(
            policy, messages, sampling=sampling, seed=seed, precision=precision, on_token=on_token
        )

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """As the engine that has the policy's weights."""
        return await self._of(policy).score(policy, messages, replies, precision=precision)

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        return self._home.precision_for(purpose)

    def precision_beside(self, policy: Policy, precision: str) -> str:
        """The precision of ``policy`` while what evolves answers at ``precision``: the same on its engine, else as the
        other engine examines."""
        engine = self._of(policy)
        return precision if engine is self._home else engine.precision_for("exam")

    @property
    def resident_max(self) -> int:
        """Of ``home``."""
        return self._home.resident_max

    def hold(self, most: int) -> None:
        """Room for so many sets of weights at once, where weights are held."""
        for engine in self._all():
            if isinstance(engine, Holds):
                engine.hold(most)

    def busy_seconds(self) -> float:
        """Seconds of all."""
        return sum(e.busy_seconds() for e in self._all())

    def evict(self, policy: Policy) -> None:
        self._of(policy).evict(policy)

    def unload(self) -> None:
        """All that holds weights here; a server keeps its own."""
        for engine in self._all():
            engine.unload()

    def close(self) -> None:
        """Close all, also where one of them fails to."""
        failed: BaseException | None = None
        for engine in self._all():
            try:
                engine.close()
            except BaseException as e:
                failed = failed or e
        if failed is not None:
            raise failed

    def _all(self) -> list[Engine]:
        return [self._home, *self._others.values()]

    def _of(self, policy: Policy) -> Engine:
        return self._others.get(policy.weights.place, self._home)
