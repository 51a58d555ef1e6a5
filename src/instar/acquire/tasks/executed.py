"""What a proposed program gives, found by running it in the sandbox: its key, or why it has none.

It is run twice, in two processes with hash seeds of their own: what does not give the same twice has no key.
"""

from __future__ import annotations

import ast
import json

from instar.legible import unwarned
from instar.sandbox import Limits, Outcome, open_sandbox
from instar.sandbox.room import Kind

ENDLESS = "it does not end in time"
HUNGRY = "it takes too much memory"
LIMIT = "it runs into a limit of the sandbox"
FAILS = "it fails"
CHANGES = "it gives another result the second time"
NOT_PLAIN = "its result is no plain value of at most 200 characters"
LONGEST = 200
"""Characters of a result."""

_RUNNER = """
import io, json, sys
given = json.loads(sys.stdin.read())
said, sys.stdout = sys.stdout, io.StringIO()
names = {}
exec(compile(given["program"], "program", "exec"), names)
text = repr(eval(compile(given["call"], "call", "eval"), names))
said.write(text[:1000])
"""
_FRACTIONS = """
import json, re, sys
from fractions import Fraction
for text in json.loads(sys.stdin.read()):
    value = eval(re.sub(r"\\d+(?:\\.\\d+)?", lambda m: f"Fraction('{m.group()}')", text), {"Fraction": Fraction})
    print(value)
"""
_WHY = {"wall": ENDLESS, "cpu": ENDLESS, "memory": HUNGRY}


async def result_of(
    program: str, call: str, *, seconds: float, memory: int, kind: Kind = "auto", allow_weaker: bool = False
) -> tuple[str, str]:
    """(what ``call`` gives, "") as Python writes it; or ("", why there is no such thing).

    Raises SandboxError on a machine without a sandbox.
    """
    sandbox = open_sandbox(kind, allow_weaker=allow_weaker)
    given = json.dumps({"program": program, "call": call}).encode()
    limits = Limits(seconds=5 * seconds, cpu_seconds=seconds, memory=memory, output=4096)
    found = ""
    for turn in range(2):
        outcome = await sandbox.run({"run.py": _RUNNER}, ["python", "-I", "-S", "run.py"], limits, stdin=given)
        if why := _why_not(outcome):
            return "", why
        text = outcome.stdout.decode("utf-8", "replace")
        if not _plain(text):
            return "", NOT_PLAIN
        if turn and text != found:
            return "", CHANGES
        found = text
    return found, ""


async def values_of(expressions: list[str], *, kind: Kind = "auto", allow_weaker: bool = False) -> list[str]:
    """What Python's own evaluator makes of expressions that were parsed before, as fractions ("7", "1/4"), in the
    sandbox; [] where that did not work. The other way to find the key of an expression."""
    sandbox = open_sandbox(kind, allow_weaker=allow_weaker)
    outcome = await sandbox.run(
        {"run.py": _FRACTIONS}, ["python", "-I", "-S", "run.py"], Limits(), stdin=json.dumps(expressions).encode()
    )
    lines = outcome.stdout.decode("utf-8", "replace").split()
    return lines if outcome.ok and len(lines) == len(expressions) else []


def _why_not(outcome: Outcome) -> str:
    if outcome.limit_hit and outcome.limit_hit != "disk":
        return _WHY.get(outcome.limit_hit, LIMIT)
    return FAILS if outcome.exit_code else ""


def _plain(text: str) -> bool:
    if not text or len(text) > LONGEST:
        return False
    try:
        with unwarned():
            ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True
