"""Options that are a mapping each: what they are called, what they say, and which of them are marked as right."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from instar.acquire.tasks.cells import NotSo, parsed, plainly

_TEXTS = ("text", "optiontext", "answertext", "content", "body", "value", "answer", "option", "choice", "文本", "内容")
_LISTS = ("choices", "options", "texts", "answers")
_NAMES = ("label", "key", "letter", "id", "name", "option", "optionid", "index", "no", "choice")
"""What an option that is a mapping calls its text and its letter; of these the first that it has."""
_RIGHT = {"correct", "iscorrect", "right", "isright", "score", "accepted", "isaccepted", "selected", "isanswer",
          "istrue", "isgold", "correctness", "richtig", "correcta", "正确", "是否正确"}  # fmt: skip
"""And what tells whether it is right."""
_YES = ("true", "yes", "correct", "right", "y", "t", "x", "是", "对", "正确", "sí", "ja", "oui")


def written_out(value: Any) -> list[tuple[str, str]] | None:
    """(name, text) of options that are a mapping each: {"text": "Rome"}, {"key": "A", "value": "Rome"}, {"A": "Rome"};
    also of two lists side by side, {"text": [...], "correct": [...]}."""
    value = _beside_each_other(parsed(value))
    if isinstance(value, Mapping):  # {"A": {"text": "Rome"}, ...}
        value = [{"label": k, **v} if isinstance(v, Mapping) else v for k, v in value.items()]
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, Mapping) for v in value):
        return None
    found = [one for i, v in enumerate(value) if (one := spelled(v, string.ascii_uppercase[i % 26])) is not None]
    if len(found) < len(value):
        return None
    if (
        len(found) <= 26
        and all(t == string.ascii_uppercase[i] for i, (_, t) in enumerate(found))
        and len({n for n, _ in found}) > 1
    ):
        return [(t, n) for n, t in found]  # a form's {"label": "Rome", "value": "A"}
    return found


def spelled(option: Mapping[str, Any], letter: str) -> tuple[str, str] | None:
    """The name of an option, or its ``letter`` where it has none, and its text."""
    if "role" in option:
        return None  # a turn of a conversation
    said = {plainly(k): v for k, v in option.items() if isinstance(v, (str, int, float)) and not isinstance(v, bool)}
    text = next((k for k in _TEXTS if k in said), None)
    if text is None:
        only = [(str(k), str(v)) for k, v in option.items() if isinstance(v, (str, int, float))]
        return only[0] if len(option) == len(only) == 1 else None
    beside = next((k for k in ("label", "option", "choice", "name") if len(str(said.get(k, ""))) > 1), None)
    if text == "value" and not isinstance(said[text], str) and beside is not None:
        return str(said[text]), str(said[beside])  # a form's {"label": "Rome", "value": 1}
    name = next((said[k] for k in _NAMES if k in said and k != text and (k == "label" or len(str(said[k])) < 4)), None)
    return (letter if name is None else str(name)), str(said[text])


def _beside_each_other(value: Any) -> Any:
    """Two lists side by side as a list of mappings; any other value as it is."""
    if not isinstance(value, Mapping) or not value:
        return value
    if scored(value):
        return [{"text": k, "correct": v} for k, v in value.items()]
    lists = {k: v for k, v in value.items() if isinstance(v, (list, tuple))}
    if len({len(v) for v in lists.values()}) != 1 or not {plainly(k) for k in lists} & {*_TEXTS, *_LISTS}:
        return value
    lists = {"text" if plainly(k) in _LISTS else k: v for k, v in lists.items()}
    return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]


def scored(value: Mapping[str, Any]) -> bool:
    """Whether this says of each option whether it is right: BIG-bench's {"Rome": 1, "Oslo": 0}. Letters are no options
    but their names."""
    marks = all(type(v) in (int, bool) and v in (0, 1) for v in value.values())
    return marks and len(value) > 1 and any(value.values()) and any(len(str(k)) > 1 for k in value)


def right_of(value: Any) -> list[int] | None:
    """A 1 for each option that is marked as right, a 0 for each other; None where the options bear no such mark. Raises
    NotSo for scores that do not say which are right."""
    if written_out(value) is None:
        return None
    each = _beside_each_other(parsed(value))
    each = list(each.values()) if isinstance(each, Mapping) else each
    marks = [_mark(option) for option in each]
    if all(m is None for m in marks):
        return None
    scores = {m for m in marks if isinstance(m, (int, float)) and m > 0}
    if len(scores) > 1:
        raise NotSo(f"its answers have several scores above 0 ({len(scores)} of them): which are right, it doesn't say")
    return [_is_right(m) for m in marks]


def _mark(option: Mapping[str, Any]) -> Any:
    """What says whether an option is right: that it is accepted goes before its score."""
    found = {plainly(k): v for k, v in option.items() if plainly(k) in _RIGHT}
    return next((v for k, v in found.items() if k != "score"), found.get("score"))


def _is_right(mark: Any) -> int:
    if isinstance(mark, str):
        try:
            return int(float(mark) > 0)
        except ValueError:
            return int(mark.strip().casefold() in _YES)
    return int(isinstance(mark, (int, float)) and mark > 0)
