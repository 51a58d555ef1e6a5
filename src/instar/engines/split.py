"""Two engines as one: the quick one samples, the exact one examines. The precision of an ask says which is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from instar.errors import EngineError
from instar.protocols import Engine, Holds, Streams
from instar.records import Message, Policy, Reply, Sampling


class SplitEngine:
    """Answers exams with ``examiner`` and all else with ``sampler``, which must be at different precisions: a reply
    then says by its engine and precision what made it, and two exams are always of one engine.

    One of them is loaded at a time: the other is unloaded when it has nothing under way.
    """

    def __init__(self, sampler: Engine, examiner: Engine) -> None:
        self._sampler, self._examiner = sampler, examiner
        self._exam = examiner.precision_for("exam")
        if sampler.precision_for("sample") == self._exam:
            raise EngineError(
                f"{sampler.name} samples and {examiner.name} examines, both at {self._exam}: their asks could not be "
                "told apart.",
                "Use one engine for both, or another sample_precision.",
            )
        self.name = examiner.name
        self.batch_invariant = sampler.batch_invariant and examiner.batch_invariant
        self.concurrency = min(sampler.concurrency, examiner.concurrency)
        self._busy = {id(sampler): 0, id(examiner): 0}

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """As the engine whose precision it is."""
        engine = self._begin(precision)
        try:
            return await engine.ask(policy, messages, n=n, sampling=sampling, seed=seed, precision=precision)
        finally:
            self._busy[id(engine)] -= 1

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        on_token: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """As the engine whose precision it is. Raises EngineError where that one does not stream."""
        engine = self._begin(precision)
        try:
            if not isinstance(engine, Streams):
                raise EngineError(f"The {engine.name} engine does not stream.", "Use ask.")
            return await engine.stream(
                policy, messages, sampling=sampling, seed=seed, precision=precision, on_token=on_token
            )
        finally:
            self._busy[id(engine)] -= 1

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """As the engine whose precision it is."""
        engine = self._begin(precision)
        try:
            return await engine.score(policy, messages, replies, precision=precision)
        finally:
            self._busy[id(engine)] -= 1

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        return self._exam if purpose == "exam" else self._sampler.precision_for("sample")

    @property
    def resident_max(self) -> int:
        """Of the roomier one: one of them is loaded at a time."""
        return max(self._sampler.resident_max, self._examiner.resident_max)

    def hold(self, most: int) -> None:
        """Room for so many sets of weights at once, in both."""
        for engine in (self._sampler, self._examiner):
            if isinstance(engine, Holds):
                engine.hold(most)

    def busy_seconds(self) -> float:
        """Seconds of both."""
        return self._sampler.busy_seconds() + self._examiner.busy_seconds()

    def evict(self, policy: Policy) -> None:
        self._sampler.evict(policy)
        self._examiner.evict(policy)

    def unload(self) -> None:
        self._sampler.unload()
        self._examiner.unload()

    def close(self) -> None:
        self._sampler.close()
        self._examiner.close()

    def _begin(self, precision: str) -> Engine:
        engine, other = self._sampler, self._examiner
        if precision == self._exam:
            engine, other = other, engine
        if not self._busy[id(other)]:
            other.unload()  # cheap where nothing is loaded
        self._busy[id(engine)] += 1
        return engine
