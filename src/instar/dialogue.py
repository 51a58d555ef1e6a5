"""What is asked of a model and what comes back: messages, sampling, replies."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Role(StrEnum):
    """Who speaks in a chat message."""

    system = "system"
    user = "user"
    assistant = "assistant"


class Message(BaseModel):
    """One chat message shown to a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str


class Finish(StrEnum):
    """Why a reply ended: by itself, or cut at ``max_tokens`` or at the end of the context."""

    stop = "stop"
    length = "length"


class Sampling(BaseModel):
    """How to sample. ``temperature`` 0 is greedy decoding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, ge=0.0, le=10.0)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, ge=1)


class Prompt(BaseModel):
    """What an engine read: the token ids of a prompt, and which tokenizer and template (``reader``) made them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    ids: tuple[int, ...]


class Learn(StrEnum):
    """Under which prompt a text is learned."""

    as_asked = "as_asked"
    """The one that it was sampled under."""
    plainly = "plainly"
    """The one that the new policy will be shown for this task: without hints, drafts and critiques."""


class Said(BaseModel):
    """Where a text was said: the how-many-th reply of which exchange, and how many of its characters (None: all)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: str
    reply: int = Field(ge=0)
    chars: int | None = Field(default=None, ge=0)
    learn: Learn = Learn.as_asked


class Reply(BaseModel):
    """One answer of a model, stamped with the policy and engine that really gave it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    finish: Finish
    policy: str
    engine: str
    precision: str
    token_ids: tuple[int, ...] | None = None
    prompt_tokens: int = 0
    tokens: int = 0
    adapter: str | None = Field(default=None, exclude=True, repr=False)
    """The adapter that was on the weights when it was made. Never stored with it: the policy and the role say it."""
    prompt: Prompt | None = Field(default=None, exclude=True, repr=False)
    """What the engine read, where it knows. Never part of what a reply is stored or hashed as: the journal keeps it
    once for all replies."""
    said: Said | None = Field(default=None, exclude=True, repr=False)
    """Which reply of which exchange this is, once it is journalled. Never stored with it."""
