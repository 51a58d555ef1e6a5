"""What the verbs of a run share, as of one round: every verb is a function of this and of its own arguments."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType

from instar.protocols import Engine, Models, Op
from instar.records import Policy, Record
from instar.run.generate import GenerateContext, Handle
from instar.run.mapping import Item, Step
from instar.run.measuring import Measuring
from instar.run.outputs import Output
from instar.run.progress import Screen
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger

Work = Callable[[Models], Awaitable[Sequence[Output]]]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What makes the steps of a run: where they are kept, who is asked, which round it is. A run makes one for each
    verb, so what changes between two verbs (the round) cannot change within one."""

    ledger: Ledger
    engine: Engine
    generate_context: GenerateContext
    screen: Screen
    watch: Stopwatch
    seed: int
    tolerance: float
    """Largest share of a step's calls that may fail."""
    round: int
    base: Policy
    """The policy that the run began with."""
    measuring: Measuring
    cast: Mapping[str, Policy] = field(default_factory=dict)
    """Who plays the other roles in every exam."""

    def step(
        self, verb: str, op: Op, title: str, *, round: int | None = None, tolerance: float | None = None,
        quiet: bool = False,
    ) -> Step:  # fmt: skip
        """A step of this operator: of this round and with the run's tolerance, unless said. ``quiet`` shows nothing."""
        return Step(
            ledger=self.ledger, generate_context=self.generate_context,
            screen=Screen("silent") if quiet else self.screen, seed=self.seed, verb=verb, op=op,
            round=self.round if round is None else round, title=title, concurrency=self.engine.concurrency,
            tolerance=self.tolerance if tolerance is None else tolerance,
        )  # fmt: skip

    async def one(
        self, verb: str, op: Op, item: str, work: Work, *, round: int | None = None, tolerance: float = 0.0,
        phase: str | None = None, usable: Callable[[Sequence[Record]], bool] | None = None,
        models: Mapping[str, Handle] = MappingProxyType({}),
    ) -> list[Record]:  # fmt: skip
        """What one call of an operator made that decides on everything at once. Nothing of it is shown; its seconds
        count under ``phase``, if it has one. ``usable``: as ``Step.usable``. ``models``: whom it may ask."""
        step = self.step(verb, op, verb, round=round, tolerance=tolerance, quiet=True)
        if usable is not None:
            step.usable = usable
        with self.watch.phase(phase) if phase else nullcontext():
            (records,) = (await step.map([Item(item, work)], models)).values()
        if step.tokens:
            self.watch.count("generate", step.tokens)
        return records

    def note(self, text: str) -> None:
        """One line for the reader, under the round's."""
        self.screen.line(f"  {text}")

    @contextmanager
    def engaged(self, phase: str, step: Step) -> Iterator[None]:
        """Count the block under this phase, as far as the engine was at work: the rest was ledger, journal, waiting."""
        began, busy = time.monotonic(), self.engine.busy_seconds()
        with self.watch.phase(phase):
            yield
        idle = time.monotonic() - began - (self.engine.busy_seconds() - busy)
        self.watch.move(phase, "bookkeeping", max(0.0, idle))
        self.watch.count(phase, step.tokens)
