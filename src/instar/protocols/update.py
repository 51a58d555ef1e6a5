"""The slot of updates, and what the run hands to one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from instar.protocols.models import ArtefactStore, Models
from instar.protocols.op import Op
from instar.protocols.slots import Judge, Solve
from instar.records import Decision, Exchange, Experience, Learned, Pair, Policy, Task


class RolloutPrompts(NamedTuple):
    """Tasks for an update's own rollouts, how they are answered, and how the answers are judged."""

    tasks: Sequence[Task]
    solve: Solve
    judge: Judge


class UpdateContext(Protocol):
    """What an update may use. Handed in by the run; the update itself keeps nothing."""

    artefacts: ArtefactStore
    seed: int
    scratch: Path
    """A folder that outlives a kill and belongs to this one call: checkpoints go here."""
    rollout_prompts: RolloutPrompts | None
    """What this update may roll out on; None unless the recipe handed it in."""
    references: Mapping[str, Policy]
    """Policies to hold the new one against, by what they are to it ("anchor", "opponent"); they are not changed."""
    pairs: Sequence[Pair] | None
    """Answers preferred to others; None unless the recipe handed pairs in."""
    models: Models
    """Who may be asked, each ask journalled as in any other call; nobody unless the recipe handed models in."""

    async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        """The answers of ``policy`` to these rollout prompts, judged, in task order. The engine is unloaded
        afterwards, if the update trains weights.

        It is recorded under ``name``, which must be this rollout's own within the call: after a kill, what was
        answered is not asked again, and what was judged not judged again. Tasks whose call failed are missing, up to
        the run's tolerance.
        """
        ...

    def rolled_out(self, name: str, tasks: Sequence[Task]) -> list[Experience]:
        """What ``roll_out`` of these tasks gave under this name, in this process or before: without the policy, which
        may not be at hand any more."""
        ...

    def ancestors(self, policy: Policy) -> Sequence[Experience]:
        """The experiences that earlier updates on the way to this policy were trained on, the oldest first (replay)."""
        ...

    def exchanges(self, ids: Collection[str]) -> Mapping[str, Exchange]:
        """These model calls of the run, by id: what was shown, what was read, what was said."""
        ...

    def learned(self, turns: Iterable[Learned]) -> None:
        """Say which turns the new policy learned, toward or away: what is asked of its past later (replay, ``why``). An
        update that says nothing learned every trained turn that it was handed, toward."""
        ...

    def leaks(self, texts: Sequence[str]) -> list[bool]:
        """Which of these texts hold 8 words in a row (a shorter one: all of them) of a task that is held out: dev,
        gate, sealed and the suites. What leaks is not to be remembered, and no reason may quote it."""
        ...

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Decisions to be recorded with what comes of the update."""
        ...

    def recall(self, key: str) -> Any | None:
        """A journalled inner step of this call, or None."""
        ...

    async def remember(self, key: str, value: Any) -> None: ...

    def progress(self, done: int, total: int, *, tokens: int = 0, note: str = "") -> None:
        """Report progress; ``tokens`` since the last report. Raises Cancelled or BudgetSpent when the run must stop:
        let it pass."""
        ...

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None:
        """Keep the figures of this call's ``number``-th ("step", from 1), by name (``loss``): they are shown as curves.
        From any thread. What is told again, as after a kill, is kept as it was told first; what is not finite is left
        out."""
        ...

    def timed(self, phase: str) -> AbstractContextManager[None]:
        """Count the seconds inside under this phase (``train``, ``checkpoint``, ``save``)."""
        ...


class Update(Op):
    """A new policy made from one policy and experiences. The old policy stays loadable."""

    slot: ClassVar[str] = "update"
    trains: ClassVar[bool] = True
    """Whether it changes weights, for which a few rows are too little."""

    @abstractmethod
    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy: ...
