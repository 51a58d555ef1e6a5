"""What a question is really about, in one text: two tasks with equal canonical content are the same task.

Seeds and wordings do not tell tasks apart: 3*4 and 4*3 are one item. A split is disjoint only if it is disjoint here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from instar.legible import unwarned
from instar.similarity import normalised

_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})  # noqa: RUF001 - the lookalikes are the point
_LONGEST = 2_000  # characters of an expression worth parsing

_Signed = tuple[int, str]
"""A sign (+1 or -1) and the canonical text of an unsigned part."""


def canonical(question: str, metadata: Mapping[str, Any] | None = None) -> str:
    """The canonical content of a question.

    ``metadata`` is what the generator says of the item. An ``expression`` in it counts if the question really shows it
    (countdown's is the *solution*); then the namespace is ``arith:`` and shared by all families. A few families whose
    wording or order varies freely are told by their parameters. Everything else is ``text:`` + normalised question.
    """
    about = metadata or {}
    expression = about.get("expression")
    if isinstance(expression, str) and _squeezed(expression) in _squeezed(question):
        found = canonical_expression(expression)
        if found is not None:
            return f"arith:{found}"
    told = _PARAMETERS.get(str(about.get("source_dataset", "")))
    if told is not None:
        try:
            return told(about)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # another version of the family describes its items otherwise: its text still tells items apart
    return f"text:{normalised(question)}"


def canonical_expression(text: str) -> str | None:
    """Sums and products flattened and sorted ("1+2-3" is "2-3+1"), or None if this is not plain + - * / arithmetic.

    Parsed with ``ast``, never evaluated.
    """
    text = text.translate(_SIGNS).strip().rstrip("=? ").strip()
    if not text or len(text) > _LONGEST:
        return None
    try:
        with unwarned():
            tree = ast.parse(text, mode="eval").body
        sign, key = _signed(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, InvalidOperation):
        return None
    return key if sign > 0 else f"-{key}"


def _signed(node: ast.expr) -> _Signed:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        number = Decimal(repr(node.value))
        return (-1 if number < 0 else 1), format(abs(number).normalize(), "f")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        if not _is_sum(node.operand):
            sign, key = _signed(node.operand)
            return (-sign if isinstance(node.op, ast.USub) and key != "0" else sign), key
        return _sum(node)
    if _is_sum(node):
        return _sum(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        return _product(node)
    raise ValueError(f"not plain arithmetic: {type(node).__name__}")


def _is_sum(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_sum(node.operand)
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def _sum(node: ast.expr) -> _Signed:
    terms: list[_Signed] = []

    def add(part: ast.expr, sign: int) -> None:
        if isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Add, ast.Sub)):
            add(part.left, sign)
            add(part.right, -sign if isinstance(part.op, ast.Sub) else sign)
        elif isinstance(part, ast.UnaryOp) and _is_sum(part):
            add(part.operand, -sign if isinstance(part.op, ast.USub) else sign)
        else:
            own, key = _signed(part)
            terms.append((1 if key == "0" else sign * own, key))

    add(node, 1)
    return 1, "(" + "".join(("+" if s > 0 else "-") + k for s, k in sorted(terms, key=lambda t: (t[1], -t[0]))) + ")"


def _product(node: ast.expr) -> _Signed:
    factors: list[str] = []
    total = 1

    def multiply(part: ast.expr, power: str) -> None:
        nonlocal total
        if isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Mult, ast.Div)):
            multiply(part.left, power)
            multiply(part.right, ("/" if power == "*" else "*") if isinstance(part.op, ast.Div) else power)
        else:
            sign, key = _signed(part)
            total *= sign
            factors.append(power + key)

    multiply(node, "*")
    return total, "[" + "".join(sorted(factors)) + "]"


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _equation(about: Mapping[str, Any]) -> str:
    letter = re.escape(about["variable"])
    return "equation:" + _squeezed(re.sub(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", "x", about["equation"]))


_PARAMETERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "gcd": lambda about: "gcd:" + ",".join(map(str, sorted(about["numbers"]))),
    "lcm": lambda about: "lcm:" + ",".join(map(str, sorted(about["numbers"]))),
    "leg_counting": lambda about: "legs:" + ",".join(f"{k}={n}" for k, n in sorted(about["animals"].items())),
    "simple_equations": _equation,
    "fraction_simplification": lambda about: f"fraction:{about['numerator']}/{about['denominator']}",
}
"""Families whose items can be the same though their wording, style, letter or order differ."""
