"""What a model proposed as a task, read by a strict grammar: an expression, or a function with a call of it.

A proposal is untrusted. An expression is parsed and computed here, by rules that know four operations; a program is
looked over here and run elsewhere (``executed``). Whatever is neither has a reason, the same for all of its kind.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from instar.arithmetic import canonical_expression, decimal_of, rewritten, terms_of, value_of
from instar.legible import unwarned
from instar.program import program_in

SAYS_NOTHING = "it says nothing"
NO_EXPRESSION = "it is no expression of + - * / and brackets over numbers"
TOO_LONG = "it is too long, or a number in it is"
NO_RESULT = "it has no result of at most 6 decimal places"
NO_PROGRAM = "it is no function f and a call of it with plain values"
IMPORTS = "it imports something"
FORBIDDEN = "it uses what is not allowed"
LONGEST_PROGRAM = 1_000
"""Characters of a program and its call."""

_MARK = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+(?=\S)")
_EXPRESSION = re.compile(r"[\d\s().+*/×÷·−–-]+")  # noqa: RUF001 - look-alike signs are meant
_BANNED = frozenset(
    {
        "breakpoint", "compile", "delattr", "eval", "exec", "exit", "getattr", "globals", "help", "id", "input",
        "locals", "memoryview", "open", "print", "quit", "setattr", "vars", "hash", "object", "type", "super",
    }
)  # fmt: skip
"""Names that a program may not use: a first look, so that they are counted by their reason. What contains a program is
the sandbox. After AZR's list (arXiv 2505.03335, appendix), less modules: those need an import."""


class Proposal(NamedTuple):
    """A proposal that could be read: what it asks, and its content in one form. ``key`` where that is known already."""

    shown: str
    canonical: str
    key: str = ""
    call: str = ""
    size: int = 0
    """Numbers of an expression, statements of a program: how difficult it is meant to be."""


def read_expression(reply: str, *, digits: int, terms: int) -> Proposal | str:
    """The expression in the first line of a reply, what stands after "=" left out; or why there is none."""
    line = next((x.strip() for x in reply.splitlines() if x.strip()), "")
    line = _MARK.sub("", line.strip("`$ ")).partition("=")[0].strip(" `?$.")
    if not line:
        return SAYS_NOTHING
    if not _EXPRESSION.fullmatch(line) or terms_of(line) < 2:
        return NO_EXPRESSION
    longest = max((len(n.replace(".", "")) for n in re.findall(r"[\d.]+", line)), default=0)
    if longest > digits or terms_of(line) > terms:
        return TOO_LONG
    written, form = rewritten(line), canonical_expression(line)
    if written is None or form is None:
        return NO_EXPRESSION if "/" not in line and "÷" not in line else NO_RESULT
    value = value_of(written)
    key = None if value is None else decimal_of(value)
    return NO_RESULT if key is None else Proposal(written, f"arith:{form}", key, size=terms_of(written))


def read_program(reply: str) -> Proposal | str:
    """The function ``f`` in a reply and the call of it in the last line; or why there is none. Nothing is run."""
    program, call = program_in(reply), _call(reply)
    if not reply.strip():
        return SAYS_NOTHING
    if program is None:
        return NO_PROGRAM
    program = "\n".join(x for x in program.splitlines() if not _called(x)).rstrip()
    if call is None or len(program) + len(call) > LONGEST_PROGRAM:
        return NO_PROGRAM if call is None else TOO_LONG
    try:
        with unwarned():
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return NO_PROGRAM
    nodes = list(ast.walk(tree))
    if any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in nodes):
        return IMPORTS
    if any(_forbidden(n) for n in nodes):
        return FORBIDDEN
    if not any(isinstance(n, ast.FunctionDef) and n.name == "f" for n in tree.body):
        return NO_PROGRAM
    try:
        with unwarned():
            shown, called = ast.unparse(tree), ast.unparse(ast.parse(call, mode="eval"))
        form = f"program:{ast.dump(tree)} {called}"
    except (RecursionError, ValueError):  # what is nested too deep can be parsed, and not written again
        return TOO_LONG
    size = sum(isinstance(n, ast.stmt) for n in nodes)
    return Proposal(shown, form, call=called, size=size)


def _call(reply: str) -> str | None:
    """The last line that calls ``f`` with plain values."""
    return next((x.strip() for x in reversed(reply.splitlines()) if _called(x)), None)


def _called(line: str) -> bool:
    line = line.strip()
    if not line.startswith("f(") or len(line) > LONGEST_PROGRAM:
        return False
    try:
        with unwarned():
            node = ast.parse(line, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
            return False
        for given in node.args:
            ast.literal_eval(given)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def _forbidden(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in _BANNED or name.startswith("_")
