"""Calls in what a model says, in the forms that models are taught; and what comes of one.

``<tool_call>{"name": ..., "arguments": {...}}</tool_call>`` (Qwen, Hermes, SmolLM2), ``{"name": ..., "parameters":
{...}}`` as a whole reply, after ``<|python_tag|>`` or not (Llama 3), and ``name[...]`` in plain words. All of it is
untrusted: what is not a call that can be made is answered in words, and never an error of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from instar.errors import SandboxError
from instar.legible import said
from instar.protocols import Bench, Tool
from instar.records import ToolCall

LONGEST_RESULT = 600
"""Characters of a result that a model is shown."""
_OPENS = re.compile(r"<tool_call>|<\|python_tag\|>")
_CLOSES = "</tool_call>"
_BRACKET = re.compile(r"[\[\]]")
_OBSERVED = re.compile(r"^[ \t]*Observation\b|<tool_response>", re.MULTILINE | re.IGNORECASE)


class Found(NamedTuple):
    """The first call in a reply: where it begins and ends, and the call; or why there is none to make, in words."""

    begins: int
    ends: int
    call: ToolCall | None
    why: str = ""


def first_call(text: str, tools: Sequence[Tool]) -> Found | None:
    """The first call in a reply; None where it makes none. What comes after a result that the model made up is not
    read."""
    made_up = _OBSERVED.search(text)
    text = text[: made_up.start()] if made_up else text
    found = [f for f in (_tagged(text), _bare(text), _worded(text, tools)) if f is not None]
    return min(found, key=lambda f: f.begins, default=None)


def _tagged(text: str) -> Found | None:
    opens = _OPENS.search(text)
    if opens is None:
        return None
    at = opens.end() + len(text[opens.end() :]) - len(text[opens.end() :].lstrip())
    call, ends, why = _object(text, at)
    closes = text.find(_CLOSES, ends)
    if opens.group() == "<tool_call>" and closes >= 0 and (call is None or not text[ends:closes].strip()):
        ends = closes + len(_CLOSES)
    return Found(opens.start(), ends, call, why)


def _bare(text: str) -> Found | None:
    """A reply that is a JSON object with a name: Llama 3 says its calls so."""
    at = len(text) - len(text.lstrip())
    if not text.startswith("{", at) or not re.match(r'\{\s*"(name|type|function|arguments|parameters)"', text[at:]):
        return None
    call, ends, why = _object(text, at)
    return Found(at, ends, call, why)


def _object(text: str, at: int) -> tuple[ToolCall | None, int, str]:
    """The call that a JSON object at this place is, where it ends, or why it is none."""
    try:
        value, ends = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, len(text), "the call is not valid JSON"
    inner = value.get("function") if isinstance(value, dict) else None
    value = inner if isinstance(inner, dict) else value
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        return None, ends, 'the call has no "name"'
    given = value.get("arguments", value.get("parameters", {}))
    if isinstance(given, str):  # some write the object as a text
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None, ends, "the arguments of the call are not valid JSON"
    if not isinstance(given, dict):
        return None, ends, "the arguments of the call are no JSON object"
    return ToolCall(name=name, arguments=given), ends, ""


def _worded(text: str, tools: Sequence[Tool]) -> Found | None:
    """``name[...]`` of one of these tools, brackets inside matched; a call that does not end is none."""
    named = {t.spec.name.lower(): t for t in tools}
    if not named:
        return None
    closes = closing(text)
    for found in re.finditer(rf"\b({'|'.join(map(re.escape, named))})\[", text, re.IGNORECASE):
        at = closes.get(found.end() - 1)
        if at is not None:
            call, why = _in_brackets(named[found.group(1).lower()], text[found.end() : at].strip("\n"))
            return Found(found.start(), at + 1, call, why)
    return None


def closing(text: str) -> dict[int, int]:
    """Where each bracket that is closed is closed; all in one pass, for a model may open thousands."""
    closes: dict[int, int] = {}
    opened: list[int] = []
    for found in _BRACKET.finditer(text):
        if found.group() == "[":
            opened.append(found.start())
        elif opened:
            closes[opened.pop()] = found.start()
    return closes


def _in_brackets(tool: Tool, given: str) -> tuple[ToolCall | None, str]:
    spec = tool.spec
    names = spec.names()
    value: Any = None
    if given.lstrip().startswith("{"):
        try:
            value = json.loads(given)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, dict) and (len(names) != 1 or set(value) <= set(names)):
        return ToolCall(name=spec.name, arguments=value), ""
    if len(names) == 1:
        return ToolCall(name=spec.name, arguments={names[0]: given}), ""
    if not names and not given.strip():
        return ToolCall(name=spec.name), ""
    return None, f"{spec.name} is given JSON with {', '.join(names) or 'nothing in it'}"


async def answer(tool: Tool | None, call: ToolCall, tools: Sequence[Tool], bench: Bench) -> str:
    """What a tool says to a call, at most ``LONGEST_RESULT`` characters; a call that cannot be made is told why.

    Raises SandboxError where the tool needs a sandbox and this machine has none.
    """
    if tool is None:
        return f"error: there is no tool {call.name!r:.80}; there are {', '.join(t.spec.name for t in tools)}"
    try:
        typed = tool.arguments().model_validate(call.given())
    except ValidationError as e:
        return f"error: {_sentence(e)}"[:LONGEST_RESULT]
    given: Mapping[str, Any] = typed.model_dump(mode="json")
    try:
        return str(await tool(given, bench))[:LONGEST_RESULT] or "(it said nothing)"
    except SandboxError:
        raise
    except Exception as e:  # anybody's tool: how it fails is an observation
        return f"error: {type(e).__name__}: {said(e)}"[:LONGEST_RESULT]


def _sentence(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the arguments'}: {p['msg']}" for p in error.errors()[:3])
