"""Calls in what a model says, in the forms that models are taught; and what comes of one.

``<tool_call>{"name": ..., "arguments": {...}}</tool_call>`` (Qwen, Hermes, SmolLM2), ``{"name": ..., "parameters":
{...}}`` as a whole reply, after ``<|python_tag|>`` or not (Llama 3), and ``name[...]`` in plain words. Where several
calls of a reply are read: one after the other in these forms (Llama's parted by ``;``), a JSON list of them (Mistral,
OpenAI's ``tool_calls``), and ``[name(argument="value"), ...]`` (Llama 3.2 and 4). All of it is untrusted: what is not a
call that can be made is answered in words, and never an error of the run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pydantic import ValidationError

from instar.errors import SandboxError
from instar.legible import said, unwarned
from instar.protocols import Bench, Tool
from instar.records import ToolCall

LONGEST_RESULT = 600
"""Characters of a result that a model is shown."""
_OPENS = re.compile(r"<tool_call>|<\|python_tag\|>")
_CLOSES = "</tool_call>"
LONGEST_PYTHONIC = 20_000
"""Characters of a reply in which calls are looked for as Python writes them."""
_NAMED = re.compile(r'\{\s*"(name|type|function|arguments|parameters)"')
_NAMED_OR_LISTED = re.compile(r'\{\s*"(name|type|function|arguments|parameters|tool_calls)"')
_PYTHONIC = re.compile(r"\[\s*[A-Za-z_]\w*\(")
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
    return next(iter(calls_in(text, tools, 1)), None)


def calls_in(text: str, tools: Sequence[Tool], most: int) -> list[Found]:
    """The first calls in a reply, in order, at most this many; none where it makes none. What comes after a result that
    the model made up is not read. Of a list that is longer, what is beyond is a call that cannot be made."""
    made_up = _OBSERVED.search(text)
    text = text[: made_up.start()] if made_up else text
    closes = closing(text) if tools else {}
    found: list[Found] = []
    while len(found) < most:
        at = found[-1].ends if found else 0
        read = (_tagged(text, at, most > 1), _bare(text, at, most > 1), _worded(text, at, tools, closes))
        first = min((r for r in read if r), key=lambda r: r[0].begins, default=[])
        if not first:
            break
        found += first
    return [f if i < most else f._replace(call=None, why=f"only {most} calls of one reply are made")
            for i, f in enumerate(found)]  # fmt: skip


def _tagged(text: str, start: int, several: bool) -> list[Found]:
    opens = _OPENS.search(text, start)
    if opens is None:
        return []
    at = _past_blanks(text, opens.end())
    made, ends = _objects(text, at, several)
    broken = made[0][0] is None and ends == len(text)
    closes = text.find(_CLOSES, at if several and broken else ends)
    if opens.group() == "<tool_call>" and closes >= 0 and (made[0][0] is None or not text[ends:closes].strip()):
        ends = closes + len(_CLOSES)
    return [Found(opens.start(), ends, call, why) for call, why in made]


def _bare(text: str, start: int, several: bool) -> list[Found]:
    """A reply that is a JSON object with a name: Llama 3 says its calls so. Where several are read, further ones after
    it, or a list."""
    at = _past_blanks(text, start, ";," if several and start else "")
    if several and text.startswith("[", at):
        return _listed(text, at)
    if not text.startswith("{", at) or not (_NAMED if not several else _NAMED_OR_LISTED).match(text, at):
        return []
    made, ends = _objects(text, at, several)
    return [Found(at, ends, call, why) for call, why in made]


def _listed(text: str, at: int) -> list[Found]:
    """A list of calls: of JSON objects, or as Python writes them; none where it is some other list."""
    if _NAMED.match(text, _past_blanks(text, at + 1)):
        made, ends = _objects(text, at, True)
        return [Found(at, ends, call, why) for call, why in made]
    if not _PYTHONIC.match(text, at) or len(text) > LONGEST_PYTHONIC:
        return []
    for end in islice((m.end() for m in re.finditer(r"\)\s*\]", text[at:])), 16):  # a value may have these two, too
        try:
            with unwarned():
                tree = ast.parse(text[at : at + end], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        calls = [_as_python_says(c) for c in tree.elts] if isinstance(tree, ast.List) else []
        return [
            Found(at, at + end, call, "" if call else "the call has other than named plain values") for call in calls
        ]
    return []


def _as_python_says(node: ast.expr) -> ToolCall | None:
    """``name(argument=value)`` with plain values as a call."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        return None
    try:
        given = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords if k.arg}
        return ToolCall(name=node.func.id, arguments=given) if len(given) == len(node.keywords) else None
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _past_blanks(text: str, at: int, also: str = "") -> int:
    while at < len(text) and (text[at].isspace() or text[at] in also):
        at += 1
    return at


def _objects(text: str, at: int, several: bool) -> tuple[list[tuple[ToolCall | None, str]], int]:
    """The call that a JSON object at this place is, or why it is none, and where it ends; where several are read, those
    of a list, or of a message of OpenAI's."""
    try:
        value, ends = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return [(None, "the call is not valid JSON")], len(text)
    listed = value.get("tool_calls") if isinstance(value, dict) else value
    if several and isinstance(listed, list) and listed:
        return [_call(v) for v in listed], ends
    return [_call(value)], ends


def _call(value: Any) -> tuple[ToolCall | None, str]:
    inner = value.get("function") if isinstance(value, dict) else None
    value = inner if isinstance(inner, dict) else value
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        return None, 'the call has no "name"'
    given = value.get("arguments", value.get("parameters", {}))
    if isinstance(given, str):  # some write the object as a text
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None, "the arguments of the call are not valid JSON"
    if not isinstance(given, dict):
        return None, "the arguments of the call are no JSON object"
    return ToolCall(name=name, arguments=given), ""


def _worded(text: str, start: int, tools: Sequence[Tool], closes: Mapping[int, int]) -> list[Found]:
    """``name[...]`` of one of these tools, brackets inside matched; a call that does not end is none."""
    named = {t.spec.name.lower(): t for t in tools}
    if not named:
        return []
    for found in re.compile(rf"\b({'|'.join(map(re.escape, named))})\[", re.IGNORECASE).finditer(text, start):
        at = closes.get(found.end() - 1)
        if at is not None:
            call, why = _in_brackets(named[found.group(1).lower()], text[found.end() : at].strip("\n"))
            return [Found(found.start(), at + 1, call, why)]
    return []


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
