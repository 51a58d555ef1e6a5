"""The shots of a config: examples that a policy is shown before every question, as turns of the conversation.

They are part of the policy (``Policy.few_shots``), so whoever solves, every exam and training under a plain prompt have
the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from instar.dialogue import ToolCall
from instar.records import Message, Policy, Role


class ShotMessage(BaseModel):
    """A turn of a shot; ``tool`` is the role of what a tool answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "assistant", "tool"]
    content: str = ""
    calls: tuple[ToolCall, ...] = Field(default=(), max_length=16)
    tool: str | None = None
    """Of a tool's answer: the tool. Not needed after a call of it."""


class Shot(BaseModel):
    """One example: ``question`` and ``answer``, or ``messages`` from a user's to an assistant's, calls of tools
    included: ``{role = "assistant", calls = [{name = "calculator", arguments = {expression = "3 + 4"}}]}``, then
    ``{role = "tool", content = "7"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | None = None
    answer: str | None = None
    messages: tuple[ShotMessage, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Shot:
        if self.messages:
            if self.question is not None or self.answer is not None:
                raise ValueError("a shot is a question with its answer, or messages: not both")
            if self.messages[0].role != "user" or self.messages[-1].role != "assistant" or self.messages[-1].calls:
                raise ValueError("the messages of a shot go from a user's question to an assistant's answer")
            open_calls = 0  # that nothing was answered to yet
            for before, m in zip(self.messages, self.messages[1:], strict=False):
                open_calls = len(before.calls) or open_calls
                if m.role == "tool" and not (open_calls or m.tool):
                    raise ValueError("what a tool answered follows its call, or names the tool: tool = ...")
                if m.calls and m.role != "assistant":
                    raise ValueError("only an assistant calls tools")
                if open_calls and m.role != "tool":
                    raise ValueError("a call of a tool is followed by what the tool answered")
                if m.role == before.role and not (m.role == "tool" and open_calls):
                    raise ValueError(f"two messages of a shot in a row are the {m.role}'s")
                open_calls -= m.role == "tool" and open_calls > 0
        elif self.question is None or self.answer is None:
            raise ValueError("a shot is a question with its answer, or messages")
        return self

    def turns(self) -> tuple[Message, ...]:
        """The shot as a model is shown it."""
        if not self.messages:
            return (
                Message(role=Role.user, content=self.question or ""),
                Message(role=Role.assistant, content=self.answer or ""),
            )
        made: list[Message] = []
        called: list[str] = []
        for m in self.messages:
            more: dict[str, Any] = {"calls": m.calls}
            if m.role == "tool":
                more = {"result_of": m.tool or called[0]}
                called = called[1:] or called
            made.append(Message(role=Role.assistant if m.role == "assistant" else Role.user, content=m.content, **more))
            called = [c.name for c in m.calls] or called
        return tuple(made)


def shown_by(shots: Sequence[Shot]) -> tuple[Message, ...]:
    """All shots, one after the other."""
    return tuple(m for shot in shots for m in shot.turns())


def with_shots(policy: Policy, shots: Sequence[Shot]) -> Policy:
    """The policy that is shown these first; the same one where there are none."""
    return policy.model_copy(update={"few_shots": shown_by(shots)}).identified() if shots else policy
