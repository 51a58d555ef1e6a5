"""Are the calls in a reply the right ones? As the Berkeley Function Calling Leaderboard asks it.

Source: Patil et al., *The Berkeley Function Calling Leaderboard (BFCL)*, its "AST evaluation". Its rules, read from its
checker (bfcl-eval 2026.3.23, Apache-2.0) and told anew here, because its package pins numpy, boto3 and 40 others:
``tests/acquire/bfcl_verdicts.json`` holds its verdicts on 390 answers, right and spoiled in known ways. Departures: a
function may be named with ``_`` for ``.`` whatever the model; a value of another kind than the schema's is wrong, never
an error; dictionaries within dictionaries are compared, too.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from instar.acquire.tools.calls import calls_in
from instar.extract.writing import without_reasoning
from instar.legible import unwarned

Call = tuple[str, dict[str, Any]]
"""A function's name and its arguments by name."""
LONGEST = 20_000
"""Characters of a reply in which calls are looked for."""
MOST = 16
"""Calls that are read of a reply."""
LONGEST_NUMBER = 10_000
"""Bits of a whole number: longer ones Python does not write out."""
_JSON_WORDS = {"true": True, "false": False, "null": None}
_CALLED = re.compile(r"(?<![\w.\-$])(?:\[\s*+)?[^\W\d][\w.]*+\(")
_DEFINED = re.compile(r"\b(?:def|class)\s+$")
_JSON = re.compile(
    r'<tool_call>|<\|python_tag\|>|\[?\s{0,9}\{\s{0,9}"(?:name|type|function|arguments|parameters|tool_calls)"'
)
_FENCE = re.compile(r"```(?:\w+[ \t]*\n)?(.*?)(?:```|\Z)", re.DOTALL)
_BRACKET_OR_TEXT = re.compile(r"""[()\[\]{}]|'(?:\\.|[^'\\\n])*+'|"(?:\\.|[^"\\\n])*+\"""")
_LOOSE = re.compile(r"[ ,./\-_*^]")
_KINDS: dict[str, type] = {
    "string": str, "integer": int, "float": float, "number": float, "boolean": bool, "array": list, "tuple": list,
    "dict": dict, "object": dict, "any": str,
}  # fmt: skip


def calls_of(text: str) -> list[Call]:
    """All calls that a reply makes; none where it makes none, or where one of them is broken off:
    ``[name(argument=value), ...]`` or calls alone, one after the other, in code fences or among words; JSON objects
    with a name and arguments, or a list of them, in ``<tool_call>`` or not. What stands in brackets of something else
    is no call of the reply, nor is what it thinks before. A bare name as a value is taken for its text, as BFCL does.
    """
    text = without_reasoning(text)[:LONGEST]
    fenced = "\n".join(_FENCE.findall(text))
    for part in (fenced, text):
        python, other = _CALLED.search(part), _JSON.search(part)
        if other and (python is None or other.start() <= python.start()):
            return _said_in_json(part[other.start() :].strip())
        if python:
            return _said_in_python(part)
    return []


def wanted_calls(functions: Any, calls: Any) -> bool:
    """Whether these are functions and the calls of them that are right, in BFCL's form."""
    if not isinstance(functions, list) or not isinstance(calls, list) or not 0 < len(calls) <= MOST:
        return False
    if not all(_described(f) for f in functions):
        return False
    named = {f["name"] for f in functions}
    return all(
        isinstance(call, dict)
        and len(call) == 1
        and set(call) <= named
        and all(isinstance(values, dict) and all(isinstance(v, list) and v for v in values.values())
                for values in call.values())
        for call in calls
    )  # fmt: skip


def _described(function: Any) -> bool:
    """Whether this is a function in JSON: its name, and its parameters as a schema where it has any."""
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return False
    schema = function.get("parameters") or {}
    known = schema.get("properties") or {} if isinstance(schema, dict) else None
    if not isinstance(known, dict):
        return False
    required = schema.get("required") or []
    named = isinstance(required, list) and all(isinstance(r, str) for r in required)
    return named and all(isinstance(v, dict) and isinstance(v.get("items") or {}, dict) for v in known.values())


def why_wrong(text: str, functions: Sequence[Any], wanted: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with the calls of a reply, in words; "" where they are right. ``wanted`` has one item a call:
    ``{name: {argument: [values that are right]}}``, "" among the values where the argument may be left out; the order
    of the calls is free."""
    made = calls_of(text)
    if not made:
        return "no call that can be read"
    if len(made) != len(wanted):
        return f"{len(made)} call(s), not {len(wanted)}"
    left, why = list(made), ""
    for item in wanted:
        ((name, values),) = item.items()
        described = next((f for f in functions if isinstance(f, dict) and f.get("name") == name), {})
        said = [_differs(call, name, described, values) for call in left]
        if "" not in said:
            return said[0] if len(said) == 1 else f"no call is the one of {name} that was wanted: {'; '.join(said)}"
        del left[said.index("")]
    return why


def _differs(call: Call, name: str, described: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    called, given = call
    if called.replace(".", "_") != name.replace(".", "_"):
        return f"{called:.60} is called, not {name}"
    schema = described.get("parameters") or {}
    known = schema.get("properties") or {}
    missing = [p for p in schema.get("required") or () if p not in given]
    if missing:
        return f"{missing[0]} is not given"
    for argument, value in given.items():
        if argument not in values or (known and argument not in known):
            return f"{argument:.60} is given, which it does not take"
        said = known.get(argument, {}).get("type", "")
        said = next((k for k in said if k != "null"), "") if isinstance(said, list) else said
        if not _of_kind(value, said, known.get(argument, {}), values[argument]):
            return f"{argument} is {value!r:.60}, not of the kind {said}"
        if not _among(value, values[argument]):
            return f"{argument} is {value!r:.60}"
    left_out = [p for p, accepted in values.items() if p not in given and "" not in accepted]
    return f"{left_out[0]} is left out" if left_out else ""


def _of_kind(value: Any, said: str, schema: Mapping[str, Any], accepted: Sequence[Any]) -> bool:
    """Whether a value is of the kind that the schema names, or of that of the right ones, which may be a variable's
    name. A whole number is a float, and a truth value is no number."""
    kind = _KINDS.get(str(said))
    if kind is None or type(value) is kind or (kind is float and type(value) is int):
        inner = _KINDS.get(str((schema.get("items") or {}).get("type", ""))) if kind is list else None
        if inner is None or not isinstance(value, list):
            return True
        kinds = {inner, *(type(v) for a in accepted if isinstance(a, list) for v in a)}
        return all(type(v) in kinds or (inner is float and type(v) is int) for v in value)
    sort = next((type(a) for a in accepted if a != ""), None)
    return sort is not None and type(value) is sort


def _among(value: Any, accepted: Sequence[Any]) -> bool:
    return any(_same(value, a) for a in accepted if not (a == "" and value != ""))


def _same(value: Any, right: Any) -> bool:
    """Texts without case, spaces and ``,./-_*^``; lists item by item; a table by its keys, each with its own values."""
    if isinstance(value, str) and isinstance(right, str):
        return _plain(value) == _plain(right)
    if isinstance(value, list) and isinstance(right, list):
        return len(value) == len(right) and all(_same(v, r) for v, r in zip(value, right, strict=True))
    if isinstance(value, dict) and isinstance(right, dict):
        wanted = {k: v if isinstance(v, list) else [v] for k, v in right.items()}
        return all(k in wanted and _among(v, wanted[k]) for k, v in value.items()) and all(
            k in value or "" in v for k, v in wanted.items()
        )
    return type(value) is not str and isinstance(value, bool) == isinstance(right, bool) and bool(value == right)


def _plain(text: str) -> str:
    return _LOOSE.sub("", text).lower().replace("'", '"')


def _said_in_python(text: str) -> list[Call]:
    """All calls in a text, among words; none where one does not end. A call without arguments is one that words are
    about, where others have arguments."""
    made: list[Call] = []
    past = 0
    for start in _CALLED.finditer(text):
        if start.start() < past:
            continue
        end = _closed(text, start.start() if start.group()[0] == "[" else start.end() - 1)
        if end is None:
            return []
        past = end
        if not _DEFINED.search(text[max(0, start.start() - 20) : start.start()]):
            made += _read(text[start.start() : end])
    told = [call for call in made if call[1]]
    return (told or made)[: MOST + 1]


def _closed(text: str, at: int) -> int | None:
    """Where the bracket at this place is closed; what stands in quotes is passed over."""
    opened = 0
    for found in _BRACKET_OR_TEXT.finditer(text, at):
        opened += (found.group() in "([{") - (found.group() in ")]}")
        if not opened:
            return found.end()
    return None


def _read(text: str) -> list[Call]:
    try:
        with unwarned():
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = [_call(node) for node in (tree.elts if isinstance(tree, ast.List) else [tree])]
    return [c for c in calls if c] if all(calls) else []


def _call(node: ast.expr) -> Call | None:
    if not isinstance(node, ast.Call) or node.args or len({k.arg for k in node.keywords} - {None}) < len(node.keywords):
        return None
    try:
        return _dotted(node.func), {str(k.arg): _value(k.value) for k in node.keywords}
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("no plain name")


def _value(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(v) for v in node.elts]
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(k) if k is not None else None for k in node.keys]
        if not all(isinstance(k, str) for k in keys):
            raise ValueError("a key that is no text")
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = _dotted(node)
        return _JSON_WORDS.get(name, name)
    found = ast.literal_eval(node)
    plain = found is None or isinstance(found, (str, bool, int, float))
    if not plain or (isinstance(found, int) and found.bit_length() > LONGEST_NUMBER):
        raise ValueError("no plain value")
    return found


def _said_in_json(text: str) -> list[Call]:
    found = calls_in(text, (), MOST)
    calls = [(f.call.name, f.call.given()) for f in found if f.call]
    return calls if len(calls) == len(found) else []


def right_answer(functions: Sequence[Any], wanted: Sequence[Mapping[str, Any]]) -> str:
    """An answer that is right: each call with the first of its right values, without what may be left out."""
    said = []
    for item in wanted:
        ((name, values),) = item.items()
        required = next((f["parameters"].get("required", ()) for f in functions if f.get("name") == name), ())
        given = {p: _first(accepted) for p, accepted in values.items() if "" not in accepted or p in required}
        said.append(f"{name}({', '.join(f'{p}={v!r}' for p, v in given.items())})")
    return f"[{', '.join(said)}]"


def _first(accepted: Sequence[Any]) -> Any:
    first = next((a for a in accepted if a != ""), "")
    return _chosen(first)


def _chosen(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _first(v) if isinstance(v, list) else v for k, v in value.items() if not _optional(v)}
    return [_chosen(v) for v in value] if isinstance(value, list) else value


def _optional(accepted: Any) -> bool:
    return isinstance(accepted, list) and "" in accepted


def told(functions: Sequence[Any]) -> str:
    """Functions as a model is shown them: JSON, one a line."""
    return "\n".join(json.dumps(f, ensure_ascii=False) for f in functions)
