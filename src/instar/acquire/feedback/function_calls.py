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
from instar.legible import unwarned

Call = tuple[str, dict[str, Any]]
"""A function's name and its arguments by name."""
LONGEST = 20_000
"""Characters of a reply in which calls are looked for."""
MOST = 16
"""Calls that are read of a reply."""
_CALLED = re.compile(r"\[?\s*[A-Za-z_][\w.]*\s*\(")
_FENCE = re.compile(r"```(?:\w+[ \t]*\n)?(.*?)(?:```|\Z)", re.DOTALL)
_LOOSE = re.compile(r"[ ,./\-_*^]")
_KINDS: dict[str, type] = {
    "string": str, "integer": int, "float": float, "number": float, "boolean": bool, "array": list, "tuple": list,
    "dict": dict, "object": dict, "any": str,
}  # fmt: skip


def calls_of(text: str) -> list[Call]:
    """The calls that a reply makes, none where it makes none that can be read: ``[name(argument=value), ...]`` or such
    a call alone, in a code fence or after words; a JSON object with a name and its arguments, or a list of them, in
    ``<tool_call>`` or not. A bare name as a value is taken for its text, as BFCL does."""
    text = text[:LONGEST]
    fenced = _FENCE.search(text)
    for part in ([fenced.group(1)] if fenced else []) + [text]:
        found = _said_in_python(part.strip()) or _said_in_json(part.strip())
        if found:
            return found
    return []


def wanted_calls(functions: Any, calls: Any) -> bool:
    """Whether these are functions and the calls of them that are right, in BFCL's form."""
    if not isinstance(functions, list) or not isinstance(calls, list) or not functions or not calls:
        return False
    named = {f.get("name") for f in functions if isinstance(f, dict)}
    one = (isinstance(c, dict) and len(c) == 1 and set(c) <= named for c in calls)
    return all(one) and all(
        isinstance(values, dict) and all(isinstance(v, list) and v for v in values.values())
        for call in calls
        for values in call.values()
    )


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
    schema = described.get("parameters", {})
    known = schema.get("properties", {})
    missing = [p for p in schema.get("required", ()) if p not in given]
    if missing:
        return f"{missing[0]} is not given"
    for argument, value in given.items():
        if argument not in values or (known and argument not in known):
            return f"{argument:.60} is given, which it does not take"
        said = str(known.get(argument, {}).get("type", ""))
        if not _of_kind(value, said, known.get(argument, {}), values[argument]):
            return f"{argument} is {value!r:.60}, not of the kind {said}"
        if not _among(value, values[argument]):
            return f"{argument} is {value!r:.60}"
    left_out = [p for p, accepted in values.items() if p not in given and "" not in accepted]
    return f"{left_out[0]} is left out" if left_out else ""


def _of_kind(value: Any, said: str, schema: Mapping[str, Any], accepted: Sequence[Any]) -> bool:
    """Whether a value is of the kind that the schema names, or of that of the right ones, which may be a variable's
    name. A whole number is a float, and a truth value is no number."""
    kind = _KINDS.get(said)
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
    """The first calls in a text that are Python: all of a list, or the one that stands alone. Not those inside of what
    can be read and is no such call."""
    past = 0
    for begins in [m.start() for m in _CALLED.finditer(text)][:MOST]:
        if begins < past:
            continue
        for end in _ends(text[begins:]):
            try:
                with unwarned():
                    tree = ast.parse(text[begins : begins + end].strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            calls = [_call(node) for node in (tree.elts if isinstance(tree, ast.List) else [tree])]
            if calls and len(calls) <= MOST and all(calls):
                return [c for c in calls if c]
            past = begins + end
            break
    return []


def _ends(text: str) -> list[int]:
    """Where a call or a list of them may end: the whole text, then after each bracket that closes one."""
    closes = "]" if text.startswith("[") else ")"
    return [len(text), *(m.end() for m in re.finditer(re.escape(closes), text))][:64]


def _call(node: ast.expr) -> Call | None:
    if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
        return None
    try:
        return _dotted(node.func), {str(k.arg): _value(k.value) for k in node.keywords}
    except ValueError:
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
        return {str(ast.literal_eval(k)): _value(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, (ast.Name, ast.Attribute)):
        return {"true": True, "false": False}.get(_dotted(node), _dotted(node))
    return ast.literal_eval(node)


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
