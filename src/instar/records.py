"""The nouns: frozen records with a content digest. Everything that happens in a run is one of these.

A record's ``id`` is minted by the run from what made it (operator, inputs, round, index): two equal samples do not
collide. Its ``digest`` is a hash of its content alone: equal content can be found. A policy is the exception: its id
*is* the digest of what it is (weights, prompt, memory), so "the same policy" means something.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from instar.dialogue import Finish as Finish
from instar.dialogue import Message as Message
from instar.dialogue import Reply as Reply
from instar.dialogue import Role as Role
from instar.dialogue import Sampling as Sampling

# the names are at home in ``dialogue`` and ``hashing``; whoever asks for them here goes on finding them
from instar.hashing import ID_SCHEME as ID_SCHEME
from instar.hashing import canonical_json as canonical_json
from instar.hashing import hash_of as hash_of
from instar.hashing import mint as mint


class Record(BaseModel):
    """Base of all nouns: frozen, no unknown fields, a content digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str] = "record"
    id: str = ""

    def content(self) -> dict[str, Any]:
        """The JSON-able content that the digest covers: every field but the id."""
        return self.model_dump(mode="json", exclude={"id"})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but the copy does not inherit the digest of the content it no longer has."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("digest", None)
        return copy

    @cached_property
    def digest(self) -> str:
        return hash_of("content", self.kind, self.content())


class Task(Record):
    """Something to solve. ``private`` (gold answer, hidden tests) is for checkers, never rendered into a prompt."""

    kind: ClassVar[str] = "task"

    messages: tuple[Message, ...]
    ability: str
    canonical: str
    source: str
    private: Mapping[str, Any] = Field(default_factory=dict)
    difficulty: float | None = None
    objective: str | None = None

    @property
    def question(self) -> str:
        """The last user message."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.user), "")


class TurnKind(StrEnum):
    """Who or what wrote a turn."""

    assistant = "assistant"
    tool_call = "tool_call"
    tool_result = "tool_result"
    partner = "partner"
    draft = "draft"
    """An earlier answer that the solution replaces."""
    critique = "critique"
    """What was said of a draft: by the model, a tool or a test."""


ASIDES = frozenset({TurnKind.draft, TurnKind.critique})
"""How an answer was come by: kept to be read, no part of its text, and left out of training, where the task is answered
as if there had been no draft. Only with ``train`` is such a turn part of the conversation that is learned."""


class Turn(BaseModel):
    """One typed turn of a solution. Only turns with ``train`` may be trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: TurnKind = TurnKind.assistant
    text: str
    token_ids: tuple[int, ...] | None = None
    train: bool = True


class Strategy(StrEnum):
    """How a solution was come by (the survey's four)."""

    rationale = "rationale"
    interactive = "interactive"
    self_play = "self-play"
    grounded = "grounded"


class Polarity(StrEnum):
    """What a solution was *meant* to be when it was made."""

    right = "right"
    wrong = "wrong"
    unknown = "unknown"


class Solution(Record):
    """One attempt at a task."""

    kind: ClassVar[str] = "solution"

    task: str
    turns: tuple[Turn, ...]
    policy: str
    engine: str
    precision: str
    sampling: Sampling
    finish: Finish
    strategy: Strategy = Strategy.rationale
    polarity: Polarity = Polarity.unknown
    memories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What else must be known of how it was come by: "rationalised" (the gold answer was shown as a hint)."""
    prompt_tokens: int = 0
    tokens: int = 0
    """Tokens written to get it; a correction counts its critiques and rewrites, not the solution it began with."""

    def content(self) -> dict[str, Any]:
        """As every record's; without flags there is no such entry, as in solutions stored before flags existed."""
        content = super().content()
        if not self.flags:
            del content["flags"]
        return content

    @property
    def text(self) -> str:
        """What the model itself wrote, turns joined by a newline."""
        return "\n".join(t.text for t in self.turns if t.kind in (TurnKind.assistant, TurnKind.tool_call))


class Mark(StrEnum):
    """The outcome of checking. ``unscored`` is not zero; ``invalid`` means the checker itself failed."""

    right = "right"
    wrong = "wrong"
    invalid = "invalid"
    unscored = "unscored"


class Feedback(Record):
    """What was said of a solution. ``score`` None means not known. Right means full credit."""

    kind: ClassVar[str] = "feedback"

    solution: str
    score: float | None
    mark: Mark
    source: Literal["verifier", "execution", "judge", "vote", "environment"]
    comment: str = ""
    answer: str | None = None
    evidence: Mapping[str, Any] = Field(default_factory=dict)


class Experience(BaseModel):
    """A task, a solution, its feedback: what refinement and updates see. Not stored itself; its parts are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    solution: Solution
    feedback: Feedback | None = None

    @property
    def id(self) -> str:
        return self.solution.id


class Decision(Record):
    """An item kept or dropped, and why: nothing is dropped silently."""

    kind: ClassVar[str] = "decision"

    item: str
    kept: bool
    reason: str


class Objective(Record):
    """What to get better at: an ability, a direction, a metric with its target, a budget and an expiry (in rounds)."""

    kind: ClassVar[str] = "objective"

    ability: str
    direction: Literal["improve", "guard"] = "improve"
    metric: str = "mean@1"
    target: float | None = None
    tasks: int = 0
    expires: int | None = None
    parent: str | None = None
    reason: str = ""


class Weights(BaseModel):
    """Where a policy's weights are and what they hash to.

    ``place``: ``artefact`` (in the artefact store, by digest), ``scripted`` (``skills`` is the whole of it), ``remote``
    (on a server, which ``name`` says; the digest is of its URL and the model's name there, not of weights).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: Literal["artefact", "scripted", "remote"]
    digest: str
    name: str = ""
    skills: Mapping[str, float] | None = None


class Policy(Record):
    """What evolves: weights, named adapters, prompt, memory. Its id is a digest of what it is, not of its history."""

    kind: ClassVar[str] = "policy"

    weights: Weights
    adapters: Mapping[str, str] = Field(default_factory=dict)
    system: str | None = None
    few_shots: tuple[Message, ...] = ()
    memory: str | None = None
    parent: str | None = None
    made_by: str | None = None

    def what_it_is(self) -> dict[str, Any]:
        """The part of the content that makes a policy this policy."""
        return {
            "weights": self.weights.digest,
            "adapters": dict(self.adapters),
            "system": self.system,
            "few_shots": [m.model_dump(mode="json") for m in self.few_shots],
            "memory": self.memory,
        }

    def prompt(self, task: Task) -> tuple[Message, ...]:
        """What this policy is shown for a task, when it acts and when it trains: its system prompt, its few-shots,
        then the task's own messages. A task that brings its own system message replaces the policy's."""
        own = any(m.role is Role.system for m in task.messages)
        system = (Message(role=Role.system, content=self.system),) if self.system and not own else ()
        return (*system, *self.few_shots, *task.messages)

    def identified(self) -> Policy:
        """The same policy with its id filled in."""
        return self.model_copy(update={"id": hash_of("policy", self.what_it_is())})


class Exam(Record):
    """A suite and how it is solved and judged: two reports are comparable if and only if their exams are equal."""

    kind: ClassVar[str] = "exam"

    suite: str
    solve: str
    judge: str
    engine: str
    precision: str
    items: str
    n: int


class Outcome(BaseModel):
    """What happened on one item of an exam: one entry a sample, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    ability: str
    gold: str | None
    marks: tuple[Mark, ...]
    answers: tuple[str | None, ...]
    tokens: tuple[int, ...]

    @property
    def score(self) -> float:
        """Share of this item's samples that are right."""
        return sum(m is Mark.right for m in self.marks) / len(self.marks)


class Interval(BaseModel):
    """A number with its interval (95 % unless said). ``n`` items stand behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float
    n: int


class Report(Record):
    """A policy on an exam: every item's outcome, and metrics with intervals, in all and per ability."""

    kind: ClassVar[str] = "report"

    policy: str
    exam: Exam
    outcomes: tuple[Outcome, ...]
    metrics: Mapping[str, Interval]
    abilities: Mapping[str, Mapping[str, Interval]] = Field(default_factory=dict)


class Check(BaseModel):
    """One test of a gate, with its numbers. ``passed`` None would be missing evidence, which never passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool
    numbers: Mapping[str, float | None] = Field(default_factory=dict)
    reason: str


class Verdict(Record):
    """A gate's decision on a candidate against the incumbent, with every test's numbers."""

    kind: ClassVar[str] = "verdict"

    incumbent: str
    candidate: str
    incumbent_report: str
    candidate_report: str
    promoted: bool
    checks: tuple[Check, ...]
    reason: str


class Vitals(BaseModel):
    """What a set of sampled answers looks like. None is not known, never zero."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    tasks: int = 0
    score: float | None = None
    parse_rate: float | None = None
    vote_margin: float | None = None
    vote_accuracy: float | None = None
    answer_entropy: float | None = None
    distinct_1: float | None = None
    distinct_2: float | None = None
    vendi: float | None = None
    length_mean: float | None = None
    length_p95: float | None = None


class Alarm(BaseModel):
    """One rule of a round's health: whether it is raised, with its numbers and the reason in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    raised: bool
    numbers: Mapping[str, float | None] = Field(default_factory=dict)
    reason: str


class Health(Record):
    """The health of one round: the training answers of the policy that sampled, its dev scores, and the alarms."""

    kind: ClassVar[str] = "health"

    policy: str
    train: Vitals
    abilities: Mapping[str, Vitals] = Field(default_factory=dict)
    kept: int
    dev_before: float | None = None
    dev_after: float | None = None
    parse_before: float | None = None
    parse_after: float | None = None
    gain_read_twice: float | None = None
    """Gain on dev among the items whose answers could be read both before and after."""
    newly_right: int | None = None
    newly_wrong: int | None = None
    alarms: tuple[Alarm, ...] = ()


class Worth(StrEnum):
    """What a planted answer is known to be; ``wrong_reason`` is a right answer reached by a false step, or a
    program that knows the results of the visible tests by heart."""

    good = "good"
    bad = "bad"
    wrong_reason = "wrong_reason"


class Plant(Record):
    """An answer of known worth, to measure judges and filters with. They see ``shown`` alone, and it looks like any."""

    kind: ClassVar[str] = "plant"

    worth: Worth
    solution: Solution

    @property
    def shown(self) -> Solution:
        return self.solution.model_copy(update={"id": self.id})


class Assessment(Record):
    """How a judge or a filter did on planted answers. ``counts``: worth to what was said of it to how often."""

    kind: ClassVar[str] = "assessment"

    verb: Literal["judge", "filter"]
    op: str
    name: str
    policy: str | None = None
    counts: Mapping[str, Mapping[str, int]]
    numbers: Mapping[str, float | None]
    trusted: bool
    reason: str


KINDS: dict[str, type[Record]] = {
    c.kind: c
    for c in (
        Task, Solution, Feedback, Decision, Objective, Policy, Exam, Report, Verdict, Health, Plant, Assessment,
    )
}  # fmt: skip
