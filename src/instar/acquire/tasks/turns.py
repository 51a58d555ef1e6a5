"""The turns of a conversation as people keep them: who speaks, and what is said; what is no text is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from instar.acquire.tasks.cells import NotSo, parsed, plainly

_SPEAKERS = {
    "system": "system", "developer": "system",
    "human": "user", "user": "user", "prompter": "user", "customer": "user", "用户": "user",
    "gpt": "assistant", "assistant": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "agent": "assistant", "助手": "assistant",
}  # fmt: skip


_SAYS = ({"role", "content"}, {"from", "value"}, {"role", "text"}, {"role", "parts"})
"""The keys of a turn: who, and what was said."""
_TOOLS = ("tool", "function", "function_call", "observation", "tool_call", "tool_response", "ipython")
_SHOWN = {"image": "a picture", "picture": "a picture", "photo": "a picture", "audio": "a sound", "speech": "a sound",
          "video": "a film", "document": "a file", "file": "a file"}  # fmt: skip
"""What the type of a part that is no text is called like, and what it is."""
_COLUMNS = re.compile(r"(?:input|question)?(image|picture|photo|audio|speech|video)s?(?:\d|url|path|file|bytes|id)?s?")
_PLACE = re.compile(r"<\|?(image|audio|video)(?:[_ ]?(?:pad|\d{1,2}))?\|?>")
"""Where in a text a picture or a sound is to be put: "<image>", "<|image_1|>"."""


def is_chat(value: Any) -> bool:
    """Whether this is a list of turns, or a text that holds one."""
    said = parsed(value)
    return (
        isinstance(said, Sequence) and not isinstance(said, str) and bool(said)
        and all(isinstance(t, Mapping) and any(pair <= t.keys() for pair in _SAYS) for t in said)
    )  # fmt: skip


def turns(value: Any) -> Iterator[tuple[str, str]]:
    """(role, text) of every turn of a conversation. Raises NotSo."""
    for turn in parsed(value):
        who = turn.get("role", turn.get("from"))
        said = next((turn[k] for k in ("content", "value", "text", "parts") if k in turn), None)
        called = str(who).casefold() in _TOOLS or (said is None and ("tool_calls" in turn or "function_call" in turn))
        if called:
            continue  # what a tool was asked and said: the question and the last answer stand without it
        if isinstance(said, (list, tuple)):  # OpenAI's parts
            said = _joined(said, who)
        role = _SPEAKERS.get(str(who).casefold())
        if role is None:
            raise NotSo(f"a turn is by {who!r:.40}, which is nobody a model could be shown")
        if not isinstance(said, str):
            raise NotSo(f"a turn of {who!r:.40} says {said!r:.60}, not a text")
        if said.strip():
            yield role, said


def asks(value: Any) -> bool:
    """Whether a user says anything in a conversation: an answer alone, as pairs of preferences have, is none."""
    return any(_SPEAKERS.get(str(t.get("role", t.get("from"))).casefold()) != "assistant" for t in parsed(value))


def told(value: Any) -> str:
    """The system's text that stands beside a conversation: a text, or parts of one."""
    if isinstance(value, Mapping):
        value = value.get("parts", [value])
    if isinstance(value, (list, tuple)):
        value = _joined(value, "system")
    return value if isinstance(value, str) and value.strip() else ""


def earlier(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What was said before the question of a row: a column "history" of pairs of what a user and the assistant said."""
    pairs = next((parsed(v) for k, v in row.items() if plainly(k) == "history"), None)
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        return ()
    said = [(who, text) for pair in pairs for who, text in zip(("user", "assistant"), pair, strict=True)]
    return tuple(said) if all(isinstance(text, str) and text.strip() for _, text in said) else ()


def _joined(parts: Sequence[Any], who: Any) -> str:
    return "\n".join(text for p in parts if (text := _part(p, who)))


def _part(part: Any, who: Any) -> str:
    """The text of a part; "" for what a tool was asked. Raises NotSo for a picture or a sound."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    told = str(part.get("type") or "")
    named = [told] if told else [str(k) for k, v in part.items() if v is not None]
    shown = next((what for name in named for like, what in _SHOWN.items() if like in name.casefold()), None)
    if shown is not None and not told.casefold().endswith("text"):
        raise NotSo(
            f"a turn of {who!r:.40} holds {shown} ({told or ', '.join(named)}), and a model is shown texts alone"
        )
    text = part.get("text")
    return text if isinstance(text, str) else ""


def beside(row: Mapping[str, Any]) -> str:
    """The column of a row that holds pictures or sounds; "" if none does."""
    return next((k for k, v in row.items() if _COLUMNS.fullmatch(plainly(k)) and _holds_something(v)), "")


def _holds_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_something, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_something, value))
    if isinstance(value, (int, float)):
        return value is True or value > 0  # -1, NaN and False: there is none
    return value not in (None, "")


def refuse_places(row: Mapping[str, Any], texts: Sequence[str], *, chat: bool) -> None:
    """Raises NotSo for texts that a picture or a sound in another column belongs to: that of any conversation, and of
    another row where a text says where it stands."""
    column = beside(row)
    place = next((m.group() for t in texts if (m := _PLACE.search(t))), "")
    if column and (chat or place):
        said = f" ({place})" if place else ""
        raise NotSo(f"it is about what {column!r} holds{said}, and a model is shown texts alone")
