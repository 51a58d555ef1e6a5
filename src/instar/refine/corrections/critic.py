"""A tool checks the answer; where it disagrees, the model is shown what the tool found, criticises and answers again.

Paper: Gou et al., *CRITIC: Large Language Models Can Self-Correct with Tool-Interactive Critiquing*, arXiv 2305.11738,
algorithm 1. With the tool taken away the same prompts gained +2.1 to -1.8 points there: the tool is what decides.

Departures:
- The tool is a calculator: the model writes the calculation of the question, the calculator works it out. (The paper's
  model answers with a Python program and the interpreter runs it.) The model's text is read token by token, never run.
- A tool that found nothing is said out loud: the answer stays as it is, flagged ``no_evidence``. In the paper's code a
  failed program becomes the text "None" in the prompt, and the critique goes on.
- Where the tool agrees, no critique is asked for: the paper's code always asks, and always rewrites.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from instar.extract import extract
from instar.protocols import Correct, Models
from instar.records import Experience, Sampling, Solution, Strategy
from instar.refine.corrections.dialogue import NO_EVIDENCE, UNRESOLVED, Dialogue
from instar.refine.equations import calculation


class Evidence(StrEnum):
    """What a tool's output means for an answer."""

    agrees = "agrees"
    disagrees = "disagrees"
    none = "none"


class Finding(NamedTuple):
    """The outcome of one use of the tool, and what it said, in words for the model."""

    evidence: Evidence
    said: str


class Critic(Correct):
    """Tool, critique, answer, by ``models["self"]``, at most ``rounds`` times (the paper: 4 for mathematics, 3 for QA).

    Ends when the tool agrees with the answer; when the answer is the same twice running, the answer then most voted for
    (flagged ``unresolved``: the tool still disagrees); when the tool has no evidence (``no_evidence``, ``unresolved``);
    or when the rounds are over: the last answer is not checked again and is ``unresolved``.

    Greedy throughout, as in the paper. ``tolerance``: how far result and answer may differ.
    """

    name: ClassVar[str] = "critic"

    tool: Literal["calculator"] = "calculator"
    rounds: int = Field(default=4, ge=1)
    tolerance: float = Field(default=1e-3, ge=0, allow_inf_nan=False)
    tool_sampling: Sampling = Sampling(temperature=0.0, max_tokens=32)
    critique_sampling: Sampling = Sampling(temperature=0.0, max_tokens=128)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=256)
    tool_request: str = (
        "Check the result with a calculator: write the calculation that the problem asks for as one line "
        "for the calculator, without its result."
    )
    critique_request: str = "{finding}\n\nWhat is the problem with the answer above?"
    rewrite_request: str = "Here is what the calculator found: {finding}\n\nWrite a better answer to the problem."

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        talk = Dialogue(experience, models["self"])
        flags: tuple[str, ...] = (UNRESOLVED,)
        for _ in range(self.rounds):
            answer = value_of(talk.latest.text)
            asked = await talk.ask(self.tool_request, self.tool_sampling)
            found = checked(asked.text, answer, self.tolerance)
            talk.note(found.said)
            if found.evidence is not Evidence.disagrees:
                flags = () if found.evidence is Evidence.agrees else (NO_EVIDENCE, UNRESOLVED)
                break
            await talk.critique(self.critique_request.replace("{finding}", found.said), self.critique_sampling)
            rewritten = await talk.rewrite(self.rewrite_request.replace("{finding}", found.said), self.sampling)
            if value_of(rewritten.text) == answer:
                break
        return [talk.ended(talk.latest, *flags, strategy=Strategy.interactive)]


def checked(call: str, answer: Fraction | None, tolerance: float) -> Finding:
    """What the calculator finds: the calculation in ``call``, worked out, against the answer."""
    found = calculation(call)
    if found is None or found[1] is None:
        why = "a division by zero" if found else "no calculation that it can read"
        return Finding(Evidence.none, f"The calculator has no evidence: it was given {why}.")
    result = f"The calculator says: {found[0]} = {written(found[1])}."
    if answer is None:
        return Finding(Evidence.disagrees, f"{result} The answer names no number.")
    if abs(answer - found[1]) <= Fraction(tolerance):
        return Finding(Evidence.agrees, f"{result} The answer says the same.")
    return Finding(Evidence.disagrees, f"{result} The answer says {written(answer)}.")


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
