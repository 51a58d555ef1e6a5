"""The context of one update: artefacts, scratch, journalled inner steps, progress that can stop it, its seconds."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instar.errors import Cancelled, DataError
from instar.memory.exam import repeated
from instar.protocols import ArtefactStore, Models, RolloutPrompts
from instar.records import Decision, Exchange, Experience, Learned, Pair, Policy, Task
from instar.run.budget import BudgetTracker
from instar.run.progress import Phase
from instar.run.rollouts import Rollouts
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger
from instar.store.readers.curves import curve_key
from instar.store.readers.exchanges import exchanges


@dataclass
class RunUpdateContext:
    """Implements ``protocols.UpdateContext``. ``progress`` may be called from a training thread."""

    artefacts: ArtefactStore
    seed: int
    scratch: Path
    ledger: Ledger
    call: str
    budget_tracker: BudgetTracker
    watch: Stopwatch
    phase: Phase
    stop: threading.Event
    replay: Callable[[Policy], Sequence[Experience]]
    rollouts: Rollouts
    rollout_prompts: RolloutPrompts | None = None
    references: Mapping[str, Policy] = field(default_factory=dict)
    pairs: Sequence[Pair] | None = None
    models: Models = field(default_factory=dict)
    op: str = ""
    """The name of the update."""
    of: str = ""
    """The call that its policy will be the output of."""
    held_out: Sequence[str] = ()
    """The questions of dev, gate, sealed and suites."""
    decided: list[Decision] = field(default_factory=list)
    """What the update decided of single items."""
    told: list[Learned] | None = None
    """What the update said that it learned; None: it said nothing."""

    async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        if self.rollout_prompts is None:
            raise DataError("this update was handed nothing to practise on.", "Pass rollout_prompts to run.update.")
        return await self.rollouts.of(self.rollout_prompts, name, policy, tasks)

    def rolled_out(self, name: str, tasks: Sequence[Task]) -> list[Experience]:
        if self.rollout_prompts is None:
            raise DataError("this update was handed nothing to practise on.", "Pass rollout_prompts to run.update.")
        return self.rollouts.done(self.rollout_prompts, name, tasks)

    def ancestors(self, policy: Policy) -> Sequence[Experience]:
        return self.replay(policy)

    def exchanges(self, ids: Collection[str]) -> Mapping[str, Exchange]:
        return exchanges(self.ledger, ids)

    def learned(self, turns: Iterable[Learned]) -> None:
        self.told = [*(self.told or ()), *turns]

    def leaks(self, texts: Sequence[str]) -> list[bool]:
        return repeated(texts, self.held_out)

    def decide(self, decisions: Iterable[Decision]) -> None:
        self.decided += decisions

    def recall(self, key: str) -> Any | None:
        return self.ledger.inner_step(self.call, key)

    async def remember(self, key: str, value: Any) -> None:
        await self.ledger.add_inner(self.call, key, value)

    def progress(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        self.phase.at(done, total, tokens=self.phase.tokens + tokens, note=note)
        if self.stop.is_set():
            raise Cancelled("the run was asked to stop.")
        self.budget_tracker.check()

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None:
        known = {name: float(f"{value:.6g}") for name, value in figures.items() if math.isfinite(value)}
        told = {"op": self.op, "of": self.of, "round": self.rollouts.round, "figures": known}
        self.ledger.add_inner_soon(self.call, curve_key(unit, number), told)

    def timed(self, phase: str) -> AbstractContextManager[None]:
        return self.watch.phase(phase)
