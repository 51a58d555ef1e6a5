"""What a question is really about, in one text: two tasks with equal canonical content are the same task.

Seeds and wordings do not tell tasks apart: 3*4 and 4*3 are one item. A split is disjoint only if it is disjoint here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from instar.arithmetic import canonical_expression as canonical_expression
from instar.similarity import normalised


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
