"""What a tool finds when it checks an answer: it agrees, it disagrees, or it has no evidence, which is neither.

Two tools work out the question anew from what the model wrote for them, and the results are compared. The calculator
reads a calculation token by token; nothing is run. Python runs a program, in the sandbox alone; all that is taken from
it is a number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

from instar import borders
from instar.extract import extract
from instar.program import program_in
from instar.protocols import Model
from instar.refine.equations import calculation
from instar.sandbox import Limits, open_sandbox
from instar.sandbox.room import Kind

PATIENCE = 5
"""Wall clock that a program may take, in its processor times: a machine may be busy."""
_LONGEST = 200
"""Characters of what a failed program said."""


class Evidence(StrEnum):
    """What a tool's output means for an answer."""

    agrees = "agrees"
    disagrees = "disagrees"
    none = "none"


class Finding(NamedTuple):
    """The outcome of one use of the tool, and what it said, in words for the model."""

    evidence: Evidence
    said: str


async def crossing(model: Model, kind: str, asked: Any, work: Callable[[], Awaitable[Any]]) -> Any:
    """As ``borders.crossing``. Without evidence a finding says nothing: the tool is used again when its correction is
    made again."""
    return await borders.crossing(model, kind, asked, work, says=lambda said: said[0] != Evidence.none)


def by_calculator(call: str, answer: Fraction | None, tolerance: float) -> Finding:
    """What the calculator finds: the calculation in ``call``, worked out, against the answer."""
    found = calculation(call)
    if found is None or found[1] is None:
        why = "a division by zero" if found else "no calculation that it can read"
        return Finding(Evidence.none, f"The calculator has no evidence: it was given {why}.")
    return compared(f"The calculator says: {found[0]} = {written(found[1])}.", found[1], answer, tolerance)


async def by_python(
    call: str, answer: Fraction | None, tolerance: float, *, seconds: float = 2.0, kind: Kind = "auto",
    allow_weaker: bool = False,
) -> Finding:  # fmt: skip
    """What a program finds: the last number that the program in ``call`` prints, against the answer.

    ``seconds`` of processor time, so that a busy machine says nothing else than an idle one; a program that fails, is
    stopped, or prints no number is no evidence.

    Raises:
        SandboxError: this machine has no sandbox, or only a weaker one and ``allow_weaker`` is not set.
    """
    program = program_in(call)
    if program is None:
        return _nothing("there is none")
    limits = Limits(seconds=PATIENCE * (seconds + 1), cpu_seconds=seconds, output=2**16)
    outcome = await open_sandbox(kind, allow_weaker=allow_weaker).run(
        {"main.py": program}, ["python", "main.py"], limits
    )
    if outcome.exit_code is None:
        return _nothing(f"it was stopped by its limit of {outcome.limit_hit}")
    if outcome.exit_code:
        last = outcome.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {outcome.exit_code}"]
        return _nothing(f"it failed: {last[-1]}"[:_LONGEST])
    found = value_of(outcome.stdout.decode("utf-8", "replace"))
    if found is None:
        return _nothing("it printed no number")
    return compared(f"The program says: {written(found)}.", found, answer, tolerance)


def compared(result: str, found: Fraction, answer: Fraction | None, tolerance: float) -> Finding:
    """A tool's result against the answer."""
    if answer is None:
        return Finding(Evidence.disagrees, f"{result} The answer names no number.")
    if abs(answer - found) <= Fraction(tolerance):
        return Finding(Evidence.agrees, f"{result} The answer says the same.")
    return Finding(Evidence.disagrees, f"{result} The answer says {written(answer)}.")


def _nothing(why: str) -> Finding:
    return Finding(Evidence.none, f"The program has no evidence: {why}.")


def value_of(text: str) -> Fraction | None:
    """The number that an answer names, or None. Untrusted text: only what ``extract`` takes for a number is read."""
    found = extract(text, "auto", "0")  # any number: only its kind is looked at
    try:
        return Fraction(found) if found is not None and len(found) <= 60 else None
    except (ValueError, ZeroDivisionError):
        return None


def written(value: Fraction) -> str:
    """A number as a calculator shows it: whole, or with at most 6 places."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6f}".rstrip("0").rstrip(".")
