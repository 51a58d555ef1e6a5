"""How the scripted model reflects: it sums days up, votes on insights, rewrites instructions, and heeds both.

An insight of its own names a skill, and whoever is shown it, or has it among its instructions, is a little better at
that skill. One about anything else changes nothing. One reply in four has a line that is no operation, or has no
instructions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from instar.scripted_world import SKILLS, skill_of

_FENCE = re.compile(r"<<<(\w+) ([0-9a-f]{12})>>>\n(.*?)\n<<<end \1 \2>>>", re.DOTALL)
_END = "<<<end insights "
_DAY = re.compile(r"^Day [^:\n]{1,20}: ")
_TASK = re.compile(r"Task: (.*?)\nAnswer: ", re.DOTALL)
_RULE = re.compile(r"When you (\w+), take the terms one at a time")
HEEDED = 1 / 3
"""How much of what is missing of a skill an insight about it gives."""


def written(prompt: str) -> str | None:
    """What it writes where it is asked to sum up or to draw insights; None where it is asked something else."""
    if "<<<" not in prompt:
        return None
    parts = {m[1]: m[3] for m in _FENCE.finditer(prompt)}
    if "diary" in parts:
        said = [_DAY.sub("", line) for line in parts["diary"].splitlines()]
        return " ".join(said[:2])
    if "insights" in parts and "ADD: a new insight" in prompt:
        return _operations(prompt, parts)
    if "instructions" in parts and "Write better instructions" in prompt:
        return _instructions(prompt, parts)
    return None


def _instructions(prompt: str, parts: Mapping[str, str]) -> str:
    if _lost(prompt):
        return ""
    task = _TASK.search(parts.get("wrong", ""))
    old = "" if parts["instructions"] == "(none)" else parts["instructions"]
    new = f"When you {skill_of(task[1])}, take the terms one at a time." if task else "Be careful."
    return "I would say:\n```\n" + "\n".join(dict.fromkeys([*old.splitlines(), new])) + "\n```"


def _lost(prompt: str) -> bool:
    return hashlib.sha256(prompt.encode()).digest()[0] < 64


def _operations(prompt: str, parts: Mapping[str, str]) -> str:
    task = _TASK.search(parts.get("right", ""))
    skill = skill_of(task[1] if task else "")
    lines = []
    for number, line in enumerate(parts["insights"].splitlines(), start=1):
        about = _RULE.search(line)
        if about is None and line != "(empty)":
            lines.append(f"REMOVE {number}: it does not help")
        elif about is not None and about[1] == skill:
            lines.append(f"AGREE {number}: it holds")
    if not any(line.startswith("AGREE") for line in lines):
        lines.append(f"ADD: When you {skill}, take the terms one at a time and read the result again.")
    if _lost(prompt):
        lines.append("That is what I learned from these.")
    return "\n".join(lines)


def bare(question: str) -> str:
    """A question without the insights that stand before it."""
    return question.rpartition(_END)[2].partition(">>>\n\n")[2] if _END in question else question


def advised(skills: Mapping[str, float], question: str, instructions: str = "") -> dict[str, float]:
    """The table as it answers a question that insights stand before, by these instructions: each skill that one is
    about is a little higher."""
    table = dict(skills)
    shown = instructions
    if _END in question:
        shown += next((m[3] for m in _FENCE.finditer(question) if m[1] == "insights"), "")
    for skill in sorted(set(_RULE.findall(shown)) & set(SKILLS)):
        now = table.get(skill, 0.0)
        table[skill] = now + HEEDED * (1 - now)
    return table
