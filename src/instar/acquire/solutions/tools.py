"""Tools a model may call while it works: a calculator and Python. What they say is text, as untrusted as the call."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from instar.legible import unwarned
from instar.sandbox import Limits, open_sandbox
from instar.sandbox.room import Kind

Tool = Literal["calculator", "python"]
TELLS: dict[Tool, str] = {
    "calculator": "calculator[expression]: arithmetic with + - * / // % ** and brackets",
    "python": "python[code]: runs Python code and gives what it prints",
}
"""What a model is told of each tool."""

LONGEST_EXPRESSION = 300
LONGEST_RESULT = 600
LARGEST = 10**60
"""Beyond this a calculator's result is refused; nor is a power taken that could be."""
_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b), ast.Mod: operator.mod,
}  # fmt: skip


async def use(tool: Tool, given: str, *, seconds: float = 5.0, kind: Kind = "auto", allow_weaker: bool = False) -> str:
    """What a tool says to a call, at most 600 characters. A call that fails says so; it never raises.

    Raises:
        SandboxError: ``python`` was called on a machine without a sandbox.
    """
    if tool == "calculator":
        return calculate(given)
    sandbox = open_sandbox(kind, allow_weaker=allow_weaker)
    outcome = await sandbox.run({"main.py": given}, ["python", "-I", "main.py"], Limits(seconds=seconds))
    if outcome.limit_hit and outcome.exit_code is None:
        return f"error: stopped by its limit of {outcome.limit_hit}"
    if outcome.exit_code:
        last = outcome.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {outcome.exit_code}"]
        return f"error: {last[-1]}"[:LONGEST_RESULT]
    said = outcome.stdout.decode("utf-8", "replace").strip()
    return said[:LONGEST_RESULT] or "(it printed nothing)"


def calculate(expression: str) -> str:
    """The value of an arithmetic expression: exact where it has a short decimal form, else to 12 digits. Nothing is
    evaluated as code. What it does not understand is an "error: ..." in words."""
    text = expression.strip().replace("^", "**").replace(",", "").replace("×", "*").replace("÷", "/")  # noqa: RUF001
    if len(text) > LONGEST_EXPRESSION:
        return f"error: longer than {LONGEST_EXPRESSION} characters"
    try:
        with unwarned():
            tree = ast.parse(text, mode="eval").body
        return _written(_value(tree, 0))
    except ZeroDivisionError:
        return "error: division by zero"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, (SyntaxError, UnicodeError))
        return f"error: {error}" if known else "error: this is not arithmetic"


def _value(node: ast.expr, depth: int) -> Fraction:
    if depth > 50:
        raise ValueError("nested too deep")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            if isinstance(number, float) and abs(number) > LARGEST:
                raise ValueError("the result is too large")
            return _bounded(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner, depth + 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, depth + 1), _value(right, depth + 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _bounded(_OPERATIONS[type(op)](_value(left, depth + 1), _value(right, depth + 1)))
    raise ValueError("this is not arithmetic")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > 200:
        raise ValueError("a power must be a whole number up to 200")
    size = max(abs(base.numerator), base.denominator)
    if size.bit_length() * abs(int(exponent)) > 2 * LARGEST.bit_length():
        raise ValueError("the result is too large")
    return _bounded(Fraction(base ** int(exponent)))


def _bounded(value: Fraction) -> Fraction:
    if abs(value) > LARGEST or value.denominator > LARGEST**2:
        raise ValueError("the result is too large")
    return value


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10**12
    return f"{float(value):.12f}".rstrip("0") if scaled.denominator == 1 else f"{float(value):.12g}"
