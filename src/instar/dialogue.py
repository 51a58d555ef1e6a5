"""What is asked of a model and what comes back: messages, tools it may call, sampling, replies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


def _table(value: Any) -> Any:
    """A JSON object as text, in the order that it came in."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value


Json = Annotated[str, BeforeValidator(_table)]
"""A JSON object as text; a table is written out. As text a record that holds it stays frozen."""


class Role(StrEnum):
    """Who speaks in a chat message."""

    system = "system"
    user = "user"
    assistant = "assistant"


class ToolSpec(BaseModel):
    """A tool as a model is told of it: its name, what it does, and the JSON schema of what it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    parameters: Json

    @classmethod
    def of(cls, name: str, about: str, takes: type[BaseModel]) -> ToolSpec:
        """The tool whose arguments are the fields of this model. Its schema without pydantic's titles: a small model
        pays for each word."""
        schema = {k: v for k, v in takes.model_json_schema().items() if k != "description"}
        return cls(name=name, about=about, parameters=json.dumps(_untitled(schema), ensure_ascii=False))

    def names(self) -> list[str]:
        """What its arguments are called, in order."""
        found = json.loads(self.parameters).get("properties", {})
        return list(found) if isinstance(found, dict) else []


def _untitled(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _untitled(v) for k, v in schema.items() if k != "title" or not isinstance(v, str)}
    return [_untitled(v) for v in schema] if isinstance(schema, list) else schema


class ToolCall(BaseModel):
    """One call of a tool, with a JSON object of arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: Json = "{}"

    def given(self) -> dict[str, Any]:
        """The arguments as data; none where they are no object."""
        try:
            found = json.loads(self.arguments)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def words(self) -> str:
        """The call as plain text: ``calculator[3 + 4]``, and with several arguments their JSON in the brackets."""
        values = list(self.given().values())
        only = values[0] if len(values) == 1 and isinstance(values[0], str) else None
        return f"{self.name}[{self.arguments if only is None else only}]"


class Message(BaseModel):
    """One chat message shown to a model.

    A message that has to do with tools says so beside its text, and a model's own template renders it where it knows
    tools; elsewhere ``in_words`` is what it comes to. A message without has the same dump as before there were tools.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """Calls that the assistant made after its text."""
    result_of: str | None = None
    """The tool whose answer the content is; such a message has the role user."""
    tools: tuple[ToolSpec, ...] = ()
    """Tools that may be called from here on."""

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said = cast(dict[str, Any], dump(self))
        for name in ("calls", "result_of", "tools"):
            if name in said and not said[name]:
                del said[name]
        return said

    @property
    def typed(self) -> bool:
        """Whether it has to do with tools."""
        return bool(self.calls or self.result_of or self.tools)


def in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same in plain text, for a template that knows no tools: they are described after the question, a call is
    ``name[...]``, its result ``Observation: ...``. Results in a row are one message: many templates refuse two of one
    role."""
    said: list[Message] = []
    for i, m in enumerate(messages):
        if m.result_of is not None and i and messages[i - 1].result_of is not None:
            said[-1] = said[-1].model_copy(update={"content": f"{said[-1].content}\n{_in_words(m).content}"})
        else:
            said.append(_in_words(m) if m.typed else m)
    return tuple(said)


def calls_answered(messages: Sequence[Message]) -> dict[int, tuple[int, int]]:
    """For each place of a result that has a call: the place of the message that called, and which of its calls. One
    without was told of a call that could not be read."""
    found: dict[int, tuple[int, int]] = {}
    for i, m in enumerate(messages):
        if m.result_of is None or not i:
            continue
        caller, which = (found[i - 1][0], found[i - 1][1] + 1) if i - 1 in found else (i - 1, 0)
        if which < len(messages[caller].calls):
            found[i] = (caller, which)
    return found


def _in_words(m: Message) -> Message:
    content = m.content if m.result_of is None else f"Observation: {m.content}"
    for call in m.calls:
        content = f"{content} {call.words()}".lstrip()
    if m.tools:
        content += (
            "\n\nYou may call a tool, one at a time, and are told what it gives:\n"
            + "\n".join(_told(t) for t in m.tools)
            + "\nWhen you know the result, write it after 'Answer:'."
        )
    return Message(role=m.role, content=content)


def _told(tool: ToolSpec) -> str:
    names = tool.names()
    given = ", ".join(f'"{n}": ...' for n in names)
    return f"{tool.name}[{names[0] if len(names) == 1 else '{' + given + '}'}]: {tool.about}"


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
