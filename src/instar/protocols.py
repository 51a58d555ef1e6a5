"""The signatures everything else is written against: operators, models, engines, the workshop of an update.

An operator is a frozen config plus ``__call__``: its config *is* its identity and can be written in a file. Its id is
its stable short name, its declared version and its canonical fields; never a class path, so that a file can move.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from instar.records import (
    Assessment,
    Decision,
    Exchange,
    Experience,
    Feedback,
    Health,
    Learned,
    Message,
    Objective,
    Plant,
    Policy,
    Reply,
    Report,
    Sampling,
    Solution,
    Task,
    ToolSpec,
    Verdict,
    hash_of,
)


def identity(value: Any) -> Any:
    """A JSON-able form of a config value in which a nested operator appears under its *own* name and fields.

    pydantic dumps a nested model by its declared type, so two different filters with equal fields would hash alike.
    """
    if isinstance(value, Op):
        fields = {k: identity(_as_ever(value, k)) for k in type(value).model_fields if not _stands_out(value, k)}
        return {"op": value.name, "version": value.version, **fields}
    if isinstance(value, BaseModel):
        return {k: identity(getattr(value, k)) for k in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(k): identity(v) for k, v in sorted(value.items(), key=lambda kv: str(kv[0]))}
    if isinstance(value, (list, tuple)):
        return [identity(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _stands_out(op: Op, field: str) -> bool:
    return field in op.late and getattr(op, field) == type(op).model_fields[field].get_default()


def _as_ever(op: Op, field: str) -> Any:
    value = getattr(op, field)
    return op.once[field] if value is None and field in op.once else value


def anywhere(value: Any) -> Any:
    """An identity in which an absolute path counts by its file's name: where a project lies is not what it does. The
    same config in two folders has the same operators, seeds and answers."""
    if isinstance(value, dict):
        return {k: anywhere(v) for k, v in value.items()}
    if isinstance(value, list):
        return [anywhere(v) for v in value]
    if isinstance(value, str) and value.startswith("/") and "\n" not in value:
        return value.rstrip("/").rpartition("/")[2]
    return value


class Op(BaseModel):
    """Base of all operators. Subclasses set ``name`` (stable, short) and raise ``version`` when behaviour changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    slot: ClassVar[str] = ""
    late: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after runs had been made: while they have their default they are no part of the identity, which
    therefore stays what it was."""
    once: ClassVar[Mapping[str, Any]] = {}
    """Fields whose default is None now and was a number once: the identity goes on saying that number."""

    @property
    def op_id(self) -> str:
        return hash_of("op", anywhere(identity(self)))

    def source_digest(self) -> str:
        """A hash of the source of this operator and of the operators nested in it."""
        h = hashlib.sha256()
        for op in sorted(_nested(self), key=lambda o: (o.name, o.op_id)):
            h.update(op.own_source().encode())
        return h.hexdigest()[:32]

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Look whether all that this operator needs is there, before a token is spent: a sandbox, a library, tests in
        its tasks. Raises InstarError where it is not. ``tasks`` are those it will be handed, by set: none of them
        before they are drawn, nor where the operator is a part of another.

        Called several times, it keeps nothing and is quick. It is no part of the source digest: what is looked for
        beforehand changes nothing of what an operator does, so a run goes on when this is mended.
        """

    def own_source(self) -> str:
        """The text that the source digest covers: this class's source, without its ``prepare``. Override to cover a
        user's function too."""
        try:
            return _without_prepare(inspect.getsource(type(self)))
        except (OSError, TypeError):
            return type(self).__qualname__


def _without_prepare(source: str) -> str:
    """The source of a class as it would read if it had no method ``prepare``."""
    if "def prepare(" not in source:
        return source
    lines = source.split("\n")
    (cls,) = ast.parse(textwrap.dedent(source)).body
    for node in reversed(cls.body if isinstance(cls, ast.ClassDef) else []):
        if isinstance(node, ast.FunctionDef) and node.name == "prepare":
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            while not lines[first - 1].strip():  # the lines that set it apart
                first -= 1
            del lines[first : node.end_lineno]
    return "\n".join(lines)


def _nested(value: Any) -> list[Op]:
    if isinstance(value, Op):
        return [value, *(o for k in type(value).model_fields for o in _nested(getattr(value, k)))]
    if isinstance(value, BaseModel):
        return [o for k in type(value).model_fields for o in _nested(getattr(value, k))]
    if isinstance(value, Mapping):
        return [o for v in value.values() for o in _nested(v)]
    if isinstance(value, (list, tuple)):
        return [o for v in value for o in _nested(v)]
    return []


# --- models and engines ----------------------------------------------------------------------------------------------


@runtime_checkable
class Model(Protocol):
    """A light handle, bound to one policy for life and, inside a verb, to one call's key."""

    policy: Policy

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]: ...


@runtime_checkable
class Borders(Protocol):
    """What a model at hand inside a call offers besides: to journal what else that does. See ``borders.crossing``."""

    async def cross(
        self, kind: str, asked: Any, work: Callable[[], Awaitable[Any]], *, again: bool,
        says: Callable[[Any], bool] | None,
    ) -> Any: ...  # fmt: skip


Models = Mapping[str, Model]


class Engine(Protocol):
    """Something heavy that answers for policies. ``ask`` is called concurrently by hundreds of operator calls."""

    name: str
    batch_invariant: bool
    """True only if the engine promises, and its tests show, that a reply does not depend on what else is asked."""
    concurrency: int
    """How many operator calls should be in flight to keep it full."""

    @property
    def resident_max(self) -> int:
        """How many sets of weights it holds at once."""
        ...

    async def ask(
        self, policy: Policy, messages: Sequence[Message], *, n: int, sampling: Sampling, seed: int, precision: str
    ) -> list[Reply]:
        """``n`` replies, different from each other, the same again for the same seed, of the policy's weights with
        ``policy.weights.adapter`` on them; a reply says which adapter was.

        Raises EngineError on an empty prompt, on a prompt that leaves no room in the context, and when the engine
        answers with fewer than ``n`` replies.
        """
        ...

    async def score(
        self, policy: Policy, messages: Sequence[Message], replies: Sequence[Reply], *, precision: str
    ) -> list[list[float]]:
        """For each reply the log-probability (nats) of each of its tokens, given the prompt and those before it, at
        temperature 1 and without top-k or top-p, whoever wrote it and however it was sampled. [] for an empty reply.

        A reply's tokens are its ``token_ids``; its text is tokenized only where it has none, without a stop token.
        Raises EngineError for a token that the model has no row for, and for a prompt and reply that together do not
        fit, with the number; else as ``ask``.
        """
        ...

    def precision_for(self, purpose: Literal["sample", "exam"]) -> str:
        """The arithmetic used for sampling, or for exams; recorded on every reply."""
        ...

    def busy_seconds(self) -> float:
        """Seconds this engine has spent working (loading, exporting, generating) since it was made."""
        ...

    def evict(self, policy: Policy) -> None: ...

    def unload(self) -> None:
        """Free all memory held for policies, before training. The next ask loads again."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Streams(Protocol):
    """What an engine may offer besides: to say a reply while it is being written. For people who wait, not for runs."""

    async def stream(
        self, policy: Policy, messages: Sequence[Message], *, sampling: Sampling, seed: int, precision: str,
        hear: Callable[[str], None],
    ) -> Reply:  # fmt: skip
        """The reply that ``ask`` gives for ``n = 1``. ``hear`` is called in the event loop with each new piece of its
        text; joined, the pieces are the text. Raises as ``ask``; what was heard until then is no reply."""
        ...


@runtime_checkable
class Holds(Protocol):
    """What an engine offers besides that loads weights: to make room for several sets that are asked in turn, which it
    would otherwise load again for each ask."""

    def hold(self, most: int) -> None: ...


@runtime_checkable
class Routes(Protocol):
    """What an engine offers besides that holds several, and answers for each policy with the one that has its
    weights."""

    def precision_beside(self, policy: Policy, precision: str) -> str:
        """The precision at which ``policy`` is asked where the policy at hand answers at ``precision``."""
        ...


class ArtefactStore(Protocol):
    """Content-addressed folders: written whole or not at all, verified when opened."""

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        """Move a finished folder into the store and return its digest."""
        ...

    def open(self, digest: str) -> Path:
        """The folder of an artefact, its hashes verified. Raises StoreError naming the damaged file."""
        ...

    def has(self, digest: str) -> bool: ...

    def lend(self, digest: str, folder: Path) -> AbstractContextManager[None]:
        """Inside, ``open(digest)`` gives this folder, which is neither moved, hashed nor kept: weights that an update
        is half way through with. ``digest`` is a name of the caller's own."""
        ...


class Practice(NamedTuple):
    """Tasks for an update's own rollouts, how they are answered, and how the answers are judged."""

    tasks: Sequence[Task]
    solve: Solve
    judge: Judge


class Workshop(Protocol):
    """What an update may use. Handed in by the run; the update itself keeps nothing."""

    artefacts: ArtefactStore
    seed: int
    scratch: Path
    """A folder that outlives a kill and belongs to this one call: checkpoints go here."""
    practice: Practice | None
    """What this update may roll out on; None unless the recipe handed it in."""
    references: Mapping[str, Policy]
    """Policies to hold the new one against, by what they are to it ("anchor", "opponent"); they are not changed."""

    async def roll_out(self, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        """The answers of ``policy`` to these tasks of the practice, judged, in task order. The engine is unloaded
        afterwards.

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


# --- operators, one slot a phase ------------------------------------------------------------------------------------


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


class Created(NamedTuple):
    """A task that an operator made, and from which of the sources. The task's ``objective`` is the id of the one it
    serves; its ``difficulty`` is the one intended, where one was."""

    task: Task
    made_from: tuple[str, ...] = ()


class Create(Op):
    """New tasks for a round's objectives, from sources and the models at hand.

    ``sources`` are tasks that may be learned from; ``seen`` are all that the new ones must not repeat, as far as the
    recipe knows them. What is held out is neither: the run drops what is in it, and does not say what that is.

    All of it is one call, so asks that are made at once must begin in an order that hangs on nothing but the arguments:
    one ``asyncio.gather`` after the other.
    """

    slot: ClassVar[str] = "create"

    @abstractmethod
    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created]: ...


class Solve(Op):
    """Solutions of one task, not yet judged."""

    slot: ClassVar[str] = "solve"

    @abstractmethod
    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]: ...


class Judge(Op):
    """Sees the whole group of one task's solutions: votes, pairs, dual execution."""

    slot: ClassVar[str] = "judge"
    believes_a_model: ClassVar[bool] = False
    """Its verdicts are a model's word: the run measures it on planted answers before it uses any of them."""
    planted_in: ClassVar[Literal["alone", "pairs", "fellows"]] = "alone"
    """What it is shown planted answers with: the task's other plants; in twos, a good one and a bad one; or, where it
    counts heads, one at a time among the task's real answers."""

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

    def arguments(self) -> type[BaseModel]:
        """What a call is given."""
        return self.takes

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


class Correct(Op):
    """Rewritten solutions of one experience; the original is kept beside them."""

    slot: ClassVar[str] = "correct"

    @abstractmethod
    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]: ...


class Update(Op):
    """A new policy made from one policy and experiences. The old policy stays loadable."""

    slot: ClassVar[str] = "update"
    makes_adapters: ClassVar[bool] = False
    """Whether its policies carry adapters beside their weights: not every engine puts them on."""

    @abstractmethod
    async def __call__(self, policy: Policy, data: Sequence[Experience], shop: Workshop) -> Policy: ...


class Gate(Op):
    """Whether a candidate takes the incumbent's place, from their reports on one exam. Missing evidence means no."""

    slot: ClassVar[str] = "gate"

    @abstractmethod
    def __call__(self, incumbent: Report, candidate: Report) -> Verdict: ...


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
        Tool, Environment,
    )
}  # fmt: skip
