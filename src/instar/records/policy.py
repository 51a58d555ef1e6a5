"""What evolves: weights and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from instar.dialogue import Message, Role, in_words
from instar.hashing import hash_of
from instar.records.record import Record
from instar.records.task import Task


class Weights(BaseModel):
    """Where a policy's weights are and what they hash to.

    ``place``: ``artefact`` (in the artefact store, by digest), ``scripted`` (``skills`` is the whole of it), ``remote``
    (on a server, which ``name`` says; the digest is of its URL and the model's name there, not of weights),
    ``transient`` (of a policy half way through its training: they were nowhere kept, and the digest only names them).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: Literal["artefact", "scripted", "remote", "transient"]
    digest: str
    name: str = ""
    skills: Mapping[str, float] | None = None
    adapter: str | None = Field(default=None, exclude=True, repr=False)
    """The adapter to put on them for one ask (``Policy.acting``): how weights are handed to an engine. No part of what
    a policy is, nor of anything that is stored."""


class Policy(Record):
    """What evolves: weights, named adapters, prompt, memory. Its id is a digest of what it is, not of its history."""

    kind: ClassVar[str] = "policy"

    weights: Weights
    """What all roles share."""
    adapters: Mapping[str, str] = Field(default_factory=dict)
    """Role to the artefact of the low-rank adapter that is put on the weights when the policy acts in it; a role that
    is not named has the weights as they are."""
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

    def acting(self, role: str) -> Policy:
        """The policy as an engine is asked for it in a role: the same one, by the same id, with that role's adapter on
        its weights."""
        adapter = self.adapters.get(role)
        if adapter == self.weights.adapter:
            return self
        return self.model_copy(update={"weights": self.weights.model_copy(update={"adapter": adapter})})

    def prompt(self, task: Task) -> tuple[Message, ...]:
        """What this policy is shown for a task, when it acts and when it trains: its system prompt, its few-shots,
        then the task's own messages. A task that brings its own system message replaces the policy's, and one that
        begins with these few-shots (an exported one) is not shown them twice."""
        return prompted(self.system, self.few_shots, task)

    def identified(self) -> Policy:
        """The same policy with its id filled in."""
        return self.model_copy(update={"id": hash_of("policy", self.what_it_is())})


def prompted(system: str | None, few_shots: Sequence[Message], task: Task) -> tuple[Message, ...]:
    """``Policy.prompt``, of a policy with these."""
    own = any(m.role is Role.system for m in task.messages)
    first = (Message(role=Role.system, content=system),) if system and not own else ()
    told = tuple(takewhile(lambda m: m.role is Role.system, task.messages))
    asked = task.messages[len(told) :]
    shown = in_words(few_shots)
    shots = () if in_words(asked)[: len(shown)] == shown else few_shots
    return (*first, *told, *shots, *asked)
