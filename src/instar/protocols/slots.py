"""The slots of the loop, one a phase: what an operator of each is handed, and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

from instar.protocols.models import Models
from instar.protocols.op import Op
from instar.records import (
    Assessment,
    Decision,
    Experience,
    Feedback,
    Health,
    Objective,
    Plant,
    Preference,
    Report,
    Solution,
    Task,
    Verdict,
)


class Choose(Op):
    """What to get better at in a round: objectives as a tree, the root first, each parent named by its *ability*.

    ``reports`` are the dev reports so far, newest last; ``refused`` counts gates refused in a row; ``budget`` is the
    round's number of tasks. The root's ``tasks`` is the whole budget, or 0 with a reason that begins with "stop:".
    """

    slot: ClassVar[str] = "choose"

    @abstractmethod
    def __call__(self, reports: Sequence[Report], refused: int, round: int, budget: int) -> Sequence[Objective]: ...


class Source(Op):
    """A source of seed tasks for the sets train, dev, gate and sealed."""

    slot: ClassVar[str] = "tasks"

    @abstractmethod
    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        """For each set name, exactly ``wanted[name]`` tasks, disjoint on canonical content. Raises DataError if the
        source holds too few distinct tasks, with the number it found."""
        ...


class Propose(Op):
    """The tasks of a round for its objectives, from a pool of unused tasks and the models at hand."""

    slot: ClassVar[str] = "propose"

    @abstractmethod
    async def __call__(
        self, objectives: Sequence[Objective], pool: Sequence[Task], models: Models
    ) -> Sequence[Task]: ...


class Tried(NamedTuple):
    """How often a policy was right on a task in a round, in so many answers that were marked."""

    task: Task
    policy: str
    round: int
    right: int
    tries: int


class Selection(Propose):
    """A proposal that looks at what was tried before in the run, and says of each task why it."""

    @abstractmethod
    def select(
        self, objectives: Sequence[Objective], pool: Sequence[Task], tried: Sequence[Tried]
    ) -> Sequence[Decision]:
        """A decision for each task that is taken, of the pool or of those ``tried`` (oldest first), in the order in
        which they are taken. Pure: the same arguments, the same tasks."""
        ...

    async def __call__(self, objectives: Sequence[Objective], pool: Sequence[Task], models: Models) -> Sequence[Task]:
        at = {t.id: t for t in pool}
        return [at[d.item] for d in self.select(objectives, pool, ())]


class Created(NamedTuple):
    """A task that an operator made, and from which of the sources. The task's ``objective`` is the id of the one it
    serves; its ``difficulty`` is the one intended, where one was."""

    task: Task
    made_from: tuple[str, ...] = ()
    key_again: bool = False
    """Whether its key was found in another way too, and was the same."""


class Refused(NamedTuple):
    """A proposal that an operator made no task of, and why: words of the operator's own, the same for all of a kind,
    so that they are counted. What a model wrote does not belong there."""

    reason: str


class Create(Op):
    """New tasks for a round's objectives, from sources and the models at hand; what was proposed and is no task is
    counted with its reason.

    ``sources`` are tasks that may be learned from; ``seen`` are all that the new ones must not repeat, as far as the
    recipe knows them. What is held out is neither: the run drops what is in it, and does not say what that is.

    All of it is one call, so asks that are made at once must begin in an order that hangs on nothing but the arguments:
    one ``asyncio.gather`` after the other.
    """

    slot: ClassVar[str] = "create"

    @abstractmethod
    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]: ...


class Solve(Op):
    """Solutions of one task, not yet judged."""

    slot: ClassVar[str] = "solve"

    @abstractmethod
    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]: ...


PlantedIn = Literal["alone", "pairs", "fellows", "nowhere"]


class Judge(Op):
    """Sees the whole group of one task's solutions: votes, pairs, dual execution."""

    slot: ClassVar[str] = "judge"
    believes_a_model: ClassVar[bool] = False
    """Its verdicts are a model's word: the run measures it on planted answers before it uses any of them."""
    marks_steps: ClassVar[bool] = False
    """Whether the evidence has ``steps``: a label of each trained turn, 1 (it helped), -1 or 0 (not known)."""
    planted_in: ClassVar[PlantedIn] = "alone"
    """What it is shown planted answers with: the task's other plants; in twos, a good one and a bad one; where it
    counts heads, one at a time among the task's real answers; or none are, as what it judges is no text but a course of
    many turns, an episode or a talk, and one text in its place says nothing of it."""

    @abstractmethod
    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]: ...


class Attempt(Op):
    """Solving and judging interleaved: adaptive sampling, self-debug."""

    slot: ClassVar[str] = "attempt"

    @abstractmethod
    async def __call__(self, task: Task, models: Models) -> Sequence[Experience]: ...


class Filter(Op):
    """Pure. One decision an item, in order. ``scope`` group: one call a task; all: one call for everything."""

    slot: ClassVar[str] = "filter"
    scope: ClassVar[Literal["group", "all"]] = "group"

    @abstractmethod
    def __call__(self, items: Sequence[Experience]) -> Sequence[Decision]: ...


class Replay(Op):
    """Which earlier data an update learns again beside what is new, so that it keeps what it knew."""

    slot: ClassVar[str] = "replay"

    def brought(self) -> Sequence[tuple[Task, str]]:
        """Tasks with an answer to learn that the run does not have yet, such as those of a user's file."""
        return ()

    def writes(self) -> Solve | None:
        """How the run's base answers what is brought, where its own answers are to be learned and not those given."""
        return None

    def asks_again(self, past: Sequence[Experience]) -> Sequence[Experience]:
        """Which of the past the policy is asked again, to know what it does not know any more."""
        return ()

    @abstractmethod
    def __call__(
        self, past: Sequence[Experience], new: Sequence[Experience], forgotten: Collection[str]
    ) -> Sequence[Decision]:
        """A decision for each of the past that is learned again, in the order in which it is learned. ``forgotten``:
        the ids of those asked again that the policy answered wrong."""
        ...


class Correct(Op):
    """Rewritten solutions of one experience; the original is kept beside them."""

    slot: ClassVar[str] = "correct"

    @abstractmethod
    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]: ...


class Pairing(Op):
    """Which answers are preferred to which others of the same task, and why. Pure. Of each item that is in no pair, a
    decision not to keep it, with the reason."""

    slot: ClassVar[str] = "pair"

    @abstractmethod
    def __call__(self, items: Sequence[Experience]) -> Sequence[Preference | Decision]: ...


class Gate(Op):
    """Whether a candidate takes the incumbent's place, from their reports on one exam. Missing evidence means no."""

    slot: ClassVar[str] = "gate"

    @abstractmethod
    def __call__(self, incumbent: Report, candidate: Report) -> Verdict: ...


class StoppingGate(Gate):
    """A gate that may decide before its last item: it is asked batch after batch, and no more items than it needs are
    examined. What decides when it stops must allow to stop there: no error beyond the declared one."""

    batch: int

    @abstractmethod
    def begun(self, tasks: Sequence[Task], *, rounds: int, seed: int) -> Gate:
        """The gate of one decision of ``rounds``, on at most these items, before the first is examined: all that it
        will hang on is fixed in its fields. A plain gate where the items are too few."""
        ...

    @abstractmethod
    def ordered(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """The order in which they are examined, which hangs on nothing that a policy says."""
        ...

    @abstractmethod
    def decided(self, incumbent: Report, candidate: Report) -> bool:
        """Whether no further item would change the verdict on these reports, which hold the first ones in order."""
        ...


class Predict(Op):
    """Whether a round can help, before it is paid for. ``accepted`` says for each task of the dev report which of its
    samples the verifier used for training would keep. The decision's item is the report's policy."""

    slot: ClassVar[str] = "predict"

    @abstractmethod
    def __call__(self, report: Report, accepted: Mapping[str, Sequence[bool]]) -> Decision: ...


class Watch(Op):
    """A round's health, with alarms, from the healths before it, this round's answers, and dev before and after."""

    slot: ClassVar[str] = "watch"

    @abstractmethod
    def __call__(
        self,
        past: Sequence[Health],
        tries: Sequence[Experience],
        kept: Sequence[Experience],
        before: Report | None,
        after: Report | None,
    ) -> Health: ...


class Audit(Op):
    """Measures judges and filters on planted answers: good ones, bad ones, right ones for a wrong reason."""

    slot: ClassVar[str] = "audit"

    @abstractmethod
    def pick(self, tries: Sequence[Experience]) -> Sequence[Experience]:
        """Of these real, unjudged experiences, one for each task to be planted: its plants are dressed as it."""
        ...

    @abstractmethod
    def grow(self, like: Experience, others: Sequence[Experience]) -> Sequence[Plant]:
        """The planted answers of one task, outwardly like a real solution of it; ``others`` are of the other tasks."""
        ...

    @abstractmethod
    def assess(
        self, op: Op, policy: str | None, plants: Sequence[Plant], said: Mapping[str, Feedback | Decision]
    ) -> Assessment:
        """What its words on the plants (by their ids; one may be missing) say of a judge or filter."""
        ...
