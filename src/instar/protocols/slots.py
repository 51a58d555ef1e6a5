"""The slots of the loop, one a phase: what an operator of each is handed, and what it gives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from instar.protocols.models import ArtefactStore, Models
from instar.protocols.op import Op
from instar.records import (
    Assessment,
    Decision,
    Exchange,
    Experience,
    Feedback,
    Health,
    Learned,
    Objective,
    Pair,
    Plant,
    Policy,
    Preference,
    Report,
    Solution,
    Task,
    ToolSpec,
    Verdict,
)


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


class Bench(NamedTuple):
    """What a call of a tool may take: seconds, and the sandbox that what it runs is put into."""

    seconds: float = 5.0
    sandbox: Literal["auto", "bubblewrap", "namespaces", "docker"] = "auto"
    allow_weaker: bool = False


class Tool(Op):
    """What a model may call while it works. Its settings are its own; what a call is given is checked against
    ``arguments`` before it is called.

    What it says is a text, untrusted and bounded. Where it fails it says so in words or raises; neither ends a run.
    """

    slot: ClassVar[str] = "tool"
    about: ClassVar[str] = ""
    """What a model is told of it, in a line."""
    takes: ClassVar[type[BaseModel]] = BaseModel
    """The arguments of a call, typed."""
    where: ClassVar[Literal["here", "process", "sandbox"]] = "here"
    """Where it runs: in the run's own process, in one that can be killed, behind the sandbox's walls."""
    effects: bool = False
    """Whether a call changes something outside. Such a call is noted before it is made, and never made twice by
    itself: where it was begun and is not known to have ended, the task's call fails."""

    @property
    def spec(self) -> ToolSpec:
        """How a model is told of it."""
        return ToolSpec.of(self.name, self.about, self.arguments())

    @property
    def called(self) -> str:
        """The name that a model calls it by; known before anything is started."""
        return self.spec.name

    def arguments(self) -> type[BaseModel]:
        """What a call is given."""
        return self.takes

    def refuse(self, bench: Bench) -> None:
        """Raises SandboxError where it cannot run on such a bench. Called before a token is spent, as ``prepare``."""

    @abstractmethod
    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str: ...


class Moved(NamedTuple):
    """What comes of an action: what is seen then, whether it is over, and the score so far (None: not known yet)."""

    observation: str
    done: bool = False
    score: float | None = None


class Episode(Protocol):
    """One course of an environment, in a process that can be killed. It may keep a state, and draws no luck of its
    own: the same actions are answered alike, or the episode ends with that as the reason."""

    def reset(self, task: Mapping[str, Any]) -> str:
        """What is seen first. ``task`` is the private data of a task."""
        ...

    def step(self, action: str) -> Moved:
        """What comes of an action, which is a model's text: untrusted."""
        ...


class Environment(Source):
    """A world to act in over turns, and the source of its tasks. Its class is imported where an episode is played."""

    slot: ClassVar[str] = "environment"

    @abstractmethod
    def episode(self) -> Episode: ...

    async def elsewhere(
        self, private: Mapping[str, Any], actions: Sequence[str], seconds: float
    ) -> Sequence[Moved] | None:
        """The moves of an episode of an environment that is a program of its own; None: it is played by ``episode``,
        in a process of instar's."""
        return None

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        """Actions that one who knows nothing may choose from: the floor of every score. None: no floor is known."""
        return ()


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


class Update(Op):
    """A new policy made from one policy and experiences. The old policy stays loadable."""

    slot: ClassVar[str] = "update"
    trains: ClassVar[bool] = True
    """Whether it changes weights, for which a few rows are too little."""

    @abstractmethod
    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy: ...


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


SLOTS: dict[str, type[Op]] = {
    c.slot: c
    for c in (
        Choose, Source, Propose, Create, Solve, Judge, Attempt, Filter, Correct, Update, Gate, Predict, Watch, Audit,
        Tool, Environment, Pairing, Replay,
    )
}  # fmt: skip
