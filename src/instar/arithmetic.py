"""Plain arithmetic in a text that nobody vouches for: its exact value, and one form for all ways to write it.

Parsed with ``ast``, never evaluated as code.
"""

from __future__ import annotations

import ast
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from instar.legible import unwarned

_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})  # noqa: RUF001 - the lookalikes are the point
_LONGEST = 2_000  # characters of an expression worth parsing
_DEEPEST = 40  # brackets and signs within each other
_WIDEST = 12  # digits of a number in a proposal

_Signed = tuple[int, str]
"""A sign (+1 or -1) and the canonical text of an unsigned part."""


def canonical_expression(text: str) -> str | None:
    """Sums and products flattened and sorted ("1+2-3" is "2-3+1"), or None if this is not plain + - * / arithmetic."""
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


def value_of(text: str) -> Fraction | None:
    """The exact value of an expression of + - * / and brackets over numbers of at most 12 digits; None for all else,
    a division by zero too."""
    text = text.translate(_SIGNS).strip()
    if not text or len(text) > _LONGEST:
        return None
    try:
        with unwarned():
            return _value(ast.parse(text, mode="eval").body, _DEEPEST)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def decimal_of(value: Fraction) -> str | None:
    """A number as people write it ("12", "-0.25"), or None if it has no decimal form of at most 6 places."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10**6
    if scaled.denominator != 1:
        return None
    return format((Decimal(scaled.numerator) / 10**6).normalize(), "f")


def terms_of(text: str) -> int:
    """How many numbers an expression has."""
    return len(re.findall(r"\d+(?:\.\d+)?", text))


def _value(node: ast.expr, depth: int) -> Fraction:
    if depth < 0:
        raise ValueError("nested too deep")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        written = repr(node.value)
        if len(written) > _WIDEST + 1 or not re.fullmatch(r"\d+(\.\d+)?", written):
            raise ValueError("a number too long")
        return Fraction(written)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _value(node.operand, depth - 1)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, depth - 1), _value(node.right, depth - 1)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    raise ValueError(f"not plain arithmetic: {type(node).__name__}")


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


def rewritten(text: str) -> str | None:
    """An expression with its spaces as people set them ("12+ 7" is "12 + 7"), or None for what is none."""
    text = text.translate(_SIGNS).strip()
    if value_of(text) is None:
        return None
    with unwarned():
        return ast.unparse(ast.parse(text, mode="eval"))
