"""An environment of the library verifiers as episodes in words. Runs in the interpreter that has it, served by
``serve.py``.

The library's own ``rollout`` plays: its client answers with the actions that there are, and stops the rollout when it
is asked for one more. What it was asked with is what the policy sees next.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import verifiers as vf
from verifiers.clients import Client
from verifiers.types import Response, ResponseMessage, ToolCall

_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


class _Enough(BaseException):
    """The rollout asks for an action that nobody has given yet. Not an Exception: no environment may swallow it."""


class _Given(Client):  # type: ignore[misc]  # the library is not in instar's interpreter
    """A client that says what it was given, one action after the other."""

    def __init__(self, actions: Sequence[str]) -> None:
        super().__init__(None)
        self.actions, self.asked = list(actions), list[list[Any]]()

    async def get_response(self, prompt: Any, model: str, sampling_args: Any, tools: Any = None, **_: Any) -> Any:
        self.asked.append(list(prompt))
        if len(self.asked) > len(self.actions):
            raise _Enough
        text = self.actions[len(self.asked) - 1]
        calls = _calls(text, len(self.asked)) if tools else []
        message = ResponseMessage(
            content=_CALL.sub("", text).strip() if calls else text,
            tool_calls=calls or None,
            finish_reason="tool_calls" if calls else "stop",
            is_truncated=False,
        )
        return Response(id=f"{len(self.asked)}", created=0, model=model, message=message)

    def setup_client(self, config: Any) -> Any: ...
    async def to_native_tool(self, tool: Any) -> Any: ...
    async def to_native_prompt(self, messages: Any) -> Any: ...
    async def get_native_response(self, *_: Any, **__: Any) -> Any: ...
    async def raise_from_native_response(self, response: Any) -> None: ...
    async def from_native_response(self, response: Any) -> Any: ...
    async def close(self) -> None: ...


class World:
    """Tasks are the rows of the environment's data set; ``data`` is ``train`` or ``eval``."""

    seeded: Callable[[str], None]
    """Given by ``serve.py``."""

    def __init__(self, module: str, args: dict[str, Any], data: str, lowest: float, highest: float) -> None:
        loaded = _file(module).load_environment if module.endswith(".py") else None
        self.env = loaded(**args) if loaded else vf.load_environment(module, **args)
        if not isinstance(self.env, vf.MultiTurnEnv):
            raise ValueError(f"{module} is a {type(self.env).__name__}; it must be a MultiTurnEnv")
        if self.env.requires_group_rollouts:
            raise ValueError(f"{module} scores answers of one task against each other, which no episode alone has")
        self.rows = self.env.get_dataset() if data == "train" else self.env.get_eval_dataset()
        self.scale = (lowest, highest)
        self.loop = asyncio.new_event_loop()

    def count(self) -> int:
        return len(self.rows)

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: which rows, by their places. ``check`` is all that a row holds, and its messages."""
        found = []
        for n in wanted["rows"]:
            row = dict(self.rows[n])
            client, check = _Given([]), _check(row)
            self.seeded(json.dumps({"check": check, "row": n}, sort_keys=True))  # as when it is played
            self.loop.run_until_complete(self._played(row, client))
            if not client.asked:
                raise ValueError(f"row {n} is over before anything is asked")
            messages = [{"role": str(_of(m, "role")), "content": _text(m)} for m in client.asked[0]]
            asked = _in_short(messages)
            found.append({"row": n, "check": check, "asked": asked, "messages": self._with_tools(messages, row)})
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What comes of each action: the text, whether it is over, and the reward. What is asked first stands in the
        task."""
        n = int(task["row"])
        row = dict(self.rows[n]) if n < len(self.rows) else {}
        if _check(row) != task["check"]:
            raise ValueError(f"row {n} is no longer the task that it was: the data set must be the same each time")
        client = _Given(actions)
        state = self.loop.run_until_complete(self._played(row, client))
        first = [{"role": str(_of(m, "role")), "content": _text(m)} for m in client.asked[0]]
        if _in_short(first) != task["asked"]:
            raise ValueError(f"row {n} is asked in other words than its task was: what it draws must go by a seed")
        yield "", False, None
        for before, after in pairwise(client.asked):
            if [_said(m) for m in after[: len(before)]] != [_said(m) for m in before]:
                raise ValueError("it rewrites the conversation between two turns, which cannot be played here")
            yield _words(after[len(before) + 1 :]), False, None
        if state is not None:
            yield _words(state.get("final_env_response") or []), True, float(state["reward"] or 0.0)

    async def _played(self, row: dict[str, Any], client: _Given) -> Any:
        """The state that the rollout ended in, scored; None where it would go on."""
        try:
            state = await self.env.rollout(row, client, "instar", {})
        except _Enough:
            return None
        if state.get("error") is not None:
            error = state["error"]
            raise RuntimeError(f"{type(error).__name__}: {error.__cause__ or error}")
        with _Errors() as wrong:  # a reward function that raises is logged there, and counted as 0
            await self.env.rubric.score_rollout(state)
        if wrong:
            raise RuntimeError(f"the rubric failed: {wrong[0]}")
        await self.env.rubric.cleanup(state)
        return state

    def _with_tools(self, messages: list[dict[str, str]], row: dict[str, Any]) -> list[dict[str, str]]:
        """The messages with the tools of a task in words, where it has any."""
        info = row.get("info") or {}
        info = json.loads(info) if isinstance(info, str) else info
        tools = self.env._normalize_tool_defs(info.get("tool_defs") or self.env.tool_defs or []) or []
        if not tools:
            return messages
        about = [json.dumps({"name": t.name, "description": t.description, "parameters": t.parameters}) for t in tools]
        form = '<tool_call>{"name": "NAME", "arguments": {}}</tool_call>'
        told = "\n".join(["You may use these tools:", *about, f"Call one as {form}."])
        if messages[-1]["role"] != "user":
            return [*messages, {"role": "user", "content": told}]
        return [*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n\n{told}"}]


class _Errors(logging.Handler):
    """What the library logs as an error while this is open."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())

    def __enter__(self) -> list[str]:
        logging.getLogger("verifiers").addHandler(self)
        return self.found

    def __exit__(self, *_: object) -> None:
        logging.getLogger("verifiers").removeHandler(self)


def _check(row: dict[str, Any]) -> str:
    """What a row holds, in short."""
    return _in_short({k: v for k, v in row.items() if k != "example_id"})


def _in_short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _said(message: Any) -> tuple[str, str]:
    return str(_of(message, "role")), _text(message)


def _file(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("environment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["environment"] = module  # its dataclasses look there for themselves
    spec.loader.exec_module(module)
    return module


def _calls(text: str, turn: int) -> list[Any]:
    """The calls of a reply in Hermes's form; what is no call stays text."""
    found: list[Any] = []
    for n, body in enumerate(_CALL.findall(text)):
        try:
            call = json.loads(body)
            arguments = call.get("arguments", {})
            given = arguments if isinstance(arguments, str) else json.dumps(arguments)
            found.append(ToolCall(id=f"call_{turn}_{n}", name=str(call["name"]), arguments=given))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _of(message: Any, key: str) -> Any:
    return message.get(key) if isinstance(message, dict) else getattr(message, key, None)


def _text(message: Any) -> str:
    """The text of a message. Raises ValueError for pictures and sounds."""
    content = _of(message, "content")
    if content is None or isinstance(content, str):
        return content or ""
    parts = [p if isinstance(p, dict) else p.model_dump() for p in content]
    if any(p.get("type") != "text" for p in parts):
        raise ValueError(f"a message holds a {next(p.get('type') for p in parts if p.get('type') != 'text')}, no text")
    return "\n".join(p["text"] for p in parts)


def _words(messages: Any) -> str:
    return "\n".join(_text(m) for m in ([messages] if isinstance(messages, str) else messages))
