"""How the scripted model speaks of its own answers: it uses a calculator, criticises, and answers again.

It knows the requests of instar's corrections by their words. A critique is to the point or it is idle; what it is worth
shows in the next answer. The model of a strong critic is one whose ``insight`` is high; with 0 it is silent.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from instar.records import Message, Role
from instar.scripted_world import JUDGES_AT_FIRST, is_right, last_number, skill_of, truth


class Request(StrEnum):
    """What the last message asks for, other than an answer to a question."""

    tool = "tool"
    program = "program"
    critique = "critique"
    rewrite = "rewrite"


_WORDS = {
    Request.tool: re.compile(r"\bfor the calculator\b", re.IGNORECASE),
    Request.program: re.compile(r"\bcheck the result with python\b", re.IGNORECASE),
    Request.critique: re.compile(
        r"\b(give feedback on|critique your|what is the problem with|explain your code|trace the execution)\b",
        re.IGNORECASE,
    ),
    Request.rewrite: re.compile(r"\b(improved answer|better answer|rewrite your answer|please fix)\b", re.IGNORECASE),
}
_EVIDENCE = re.compile(r"\b(the (?:calculator|program) says|fails this test)\b", re.IGNORECASE)
CORRECT = "It is correct."
WRONG = "is wrong:"
IDLE = "It could be clearer."


class Exchange(NamedTuple):
    """A request about an earlier answer: the question, the draft it is about, and what was found wrong with it."""

    request: Request
    question: str
    draft: str
    approved: bool
    """The last critique found the draft correct."""
    pointed: bool
    """There is something to go by: a critique that names the error, a tool's result, a failed test."""


def exchange(messages: Sequence[Message]) -> Exchange | None:
    """What the last message asks of an earlier answer; None where it is a question of its own."""
    request = _request(messages[-1]) if messages and messages[-1].role is Role.user else None
    if request is None or all(m.role is not Role.assistant for m in messages):
        return None
    question = draft = critique = ""
    asked: Message | None = None
    for m in messages:
        if m.role is Role.user:
            asked = m
            if _request(m) is None and (truth(m.content) is not None or not question):
                question = m.content
        elif m.role is Role.assistant:
            kind = _request(asked) if asked else None
            if kind is Request.critique:
                critique = m.content
            elif kind not in (Request.tool, Request.program):
                draft, critique = m.content, ""
    evidence = any(_EVIDENCE.search(m.content) for m in messages[-3:] if m.role is Role.user)
    return Exchange(request, question, draft, critique.startswith(CORRECT), WRONG in critique or evidence)


def tool_call(said: Exchange, to_the_point: bool) -> str:
    """The calculation of the question, or something that no calculator can read; the same as a program."""
    if said.request is Request.program:
        return f"```python\nprint({truth(said.question)})\n```" if to_the_point else "I would use Python."
    return said.question if to_the_point else "I would use a calculator."


def critique(said: Exchange, to_the_point: bool) -> str:
    """A true verdict on the draft with a score, or idle words."""
    if not to_the_point:
        return f"{IDLE} Score: 5/10"
    if is_right(said.question, said.draft):
        return f"{CORRECT} Score: 10/10"
    return f"The result {last_number(said.draft)} {WRONG} work it out again, term by term. Score: 2/10"


def likelihood(question: str, text: str, skills: Mapping[str, float]) -> list[float]:
    """The log-probability (nats) of each word of a reply: what the skill says of right replies, or of wrong ones. Some
    are taken for the other kind, by a hash of question and reply alone."""
    words = len(text.split())
    if not words:
        return []
    skill = min(1 - 1e-6, max(1e-6, skills.get(skill_of(question), 0.0)))
    drawn = int.from_bytes(hashlib.sha256(repr(("read", question, text)).encode()).digest()[:8]) / 2**64
    taken_for_right = (is_right(question, text) is True) is (drawn < JUDGES_AT_FIRST)
    return [math.log(skill if taken_for_right else 1 - skill) / words] * words


def wants_code(question: str) -> bool:
    """Whether a function is asked for and not a result ("Write a Python function f() that returns 3 + 4.")."""
    return "python function" in question.casefold()


def code(question: str, right: bool, style: int) -> str:
    """A function ``f`` that returns the result, or one that is off. Its last line ends with the number it returns."""
    value = Decimal(truth(question) or 0) + (0 if right else 1 + style % 9)
    return f"def f():\n    # take {style % 1000}\n    return {value}"


def _request(message: Message) -> Request | None:
    return next((kind for kind, words in _WORDS.items() if words.search(message.content)), None)
