"""The calculations an answer writes down ("3 + 4 = 7"), read from untrusted text. Nothing is ever passed to ``eval``.

Used by the filters of rejection sampling (arXiv 2308.01825). Its reference code evaluates model text with Python's
``eval``; here tokens are read first, and only + - * / with brackets, signs and decimals is understood.

What cannot be read is not an equation and so neither right nor wrong: units between the terms ("3 apples + 4 apples"),
letters ("2x + 3 = 7"), percentages, remainders, a left side without an operator ("x = 7").
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

LOOK_AT = 8_000
"""Characters of a text that are read, from its end."""

_LONGEST = 60
"""Tokens of one side."""

_SIGNS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", r"\times": "*", r"\cdot": "*", r"\div": "/"}  # noqa: RUF001 - look-alike signs are meant
_SIGN = re.compile("|".join(re.escape(s) for s in _SIGNS))
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NOISE = re.compile(r"[$€£`]|\\\(|\\\)|\\\[|\\\]|(?<![\d) ])\*\*|\*\*(?![\d( ])|<<|>>")
"""Currency, mathematics marks, bold, and the calculator annotations of GSM8K."""
_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+")
_EQUALS = re.compile(r"(?<![<>=!:])=(?![=>])")
_TOKEN = re.compile(r"\s*((?<![\w.])\d{1,30}(?:\.\d{1,30})?(?![\w])|[-+*/()]|(?<=[\d) ])x(?=\s*[\d(]))")
_BELONGS_BEFORE = re.compile(r"[^\s,;:.(\[{\"']$")
"""What ends right before a number and changes it: "x^2 + 1", "sqrt(9) + 1"."""
_TERM_BEFORE = re.compile(r"[^\s,;:(\[{]\s*$")
"""What ends before a sign and is what the sign works on: "2 apples - 3 * 2", "5! + 1"."""
_BELONGS_AFTER = re.compile(r"\s*(?:%|percent\b|r\b|rem\b|remainder\b)|[\^…]|\.\.", re.IGNORECASE)


class Equation(NamedTuple):
    """One calculation: the text of both sides without spaces, and their values (None: divided by zero)."""

    left: str
    right: str
    left_value: Fraction | None
    right_value: Fraction | None

    def holds(self, tolerance: float) -> bool:
        """Whether both sides differ by at most ``tolerance``."""
        if self.left_value is None or self.right_value is None:
            return False
        return abs(self.left_value - self.right_value) <= Fraction(tolerance)

    def __str__(self) -> str:
        return f"{self.left}={self.right}"


def equations(text: str) -> list[Equation]:
    """Every calculation in the text, in order. A chain "2*3 = 6 = 12/2" is one a sign of equality."""
    found: list[Equation] = []
    for line in text[-LOOK_AT:].splitlines():
        sides = _EQUALS.split(_plain(line))
        for before, after in pairwise(sides):
            equation = _equation(before, after)
            if equation is not None:
                found.append(equation)
    return found


def calculation(text: str) -> tuple[str, Fraction | None] | None:
    """The first calculation that a text asks for ("12 + 7", "Compute: 12 + 7 ="), and its value (None: it divides by
    zero). None if no line holds one that can be read whole; what follows a sign of equality is not looked at."""
    for line in text[:LOOK_AT].splitlines():
        left = _EQUALS.split(_plain(line))[0]
        for tokens, start, end in _runs(left):
            torn = _BELONGS_BEFORE.search(left[:start]) or _BELONGS_AFTER.match(left, end) or len(tokens) > _LONGEST
            if not torn and any(t in "+-*/" for t in tokens[1:]) and _parsed(tokens) is not None:
                return " ".join(tokens), _value(tokens)
    return None


def _plain(line: str) -> str:
    """A line without what only decorates its numbers and signs."""
    return _BULLET.sub("", _NOISE.sub("", _SIGN.sub(lambda m: _SIGNS[m.group()], _THOUSANDS.sub("", line))))


def _equation(before: str, after: str) -> Equation | None:
    left, right = _last_expression(before), _first_expression(after)
    if left is None or right is None or not any(t in "+-*/" for t in left[1:]):
        return None
    return Equation("".join(left), "".join(right), _value(left), _value(right))


def _last_expression(text: str) -> list[str] | None:
    """The longest expression that ends where the text ends, or None."""
    found = _runs(text)
    if not found or text[found[-1][2] :].strip():
        return None
    run, start, _ = found[-1]
    tokens = run[-_LONGEST:]
    for i in range(len(tokens)):
        if _parsed(tokens[i:]) is None:
            continue
        if i == 0 and len(tokens) == len(run):
            torn = _TERM_BEFORE if tokens[0] in "+-" else _BELONGS_BEFORE
            return None if torn.search(text[:start]) else tokens
        return None if tokens[i - 1] in "+-*/" else tokens[i:]  # cut behind a sign, it is a part of something else
    return None


def _first_expression(text: str) -> list[str] | None:
    """The longest expression that begins where the text begins, or None."""
    found = _runs(text)
    if not found or text[: found[0][1]].strip():
        return None
    tokens, _, end = found[0]
    tokens = tokens[:_LONGEST]
    for size in range(len(tokens), 0, -1):
        if _parsed(tokens[:size]) is not None:
            if size < len(tokens):
                return None if tokens[size] not in "()" else tokens[:size]  # "1 1/2", "7 + x": it goes on
            return None if _BELONGS_AFTER.match(text, end) else tokens
    return None


def _runs(text: str) -> list[tuple[list[str], int, int]]:
    """Stretches of numbers, signs and brackets with nothing but blanks between them, each with its place."""
    runs: list[tuple[list[str], int, int]] = []
    for match in _TOKEN.finditer(text):
        token = "*" if match.group(1) == "x" else match.group(1)
        if token[0].isdigit():
            token = _number(token)
        if runs and runs[-1][2] == match.start():
            tokens, start, _ = runs.pop()
            runs.append(([*tokens, token], start, match.end()))
        else:
            runs.append(([token], match.start(1), match.end()))
    return runs


def _number(token: str) -> str:
    """Without leading zeros, nor zeros at the end of a fraction."""
    whole, _, part = token.partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")


def _parsed(tokens: Sequence[str]) -> ast.expr | None:
    if tokens[-1] in "+-*/(" or tokens[0] in "*/)":
        return None
    try:
        tree = ast.parse(" ".join(tokens), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    allowed = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.operator, ast.unaryop)
    # "2 (3)" reads as a call and "* *" as a power: neither is a calculation
    return tree if all(isinstance(n, allowed) and not isinstance(n, ast.Pow) for n in ast.walk(tree)) else None


def _value(tokens: Sequence[str]) -> Fraction | None:
    tree = _parsed(tokens)
    assert tree is not None
    try:
        return _evaluated(tree, " ".join(tokens))
    except ZeroDivisionError:
        return None


def _evaluated(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.UnaryOp):
        value = _evaluated(node.operand, text)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _evaluated(node.left, text), _evaluated(node.right, text)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        return left * right if isinstance(node.op, ast.Mult) else left / right
    return Fraction(text[node.col_offset : node.end_col_offset])  # the digits themselves: 0.1 is a tenth
