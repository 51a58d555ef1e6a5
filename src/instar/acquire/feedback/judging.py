"""What judges that ask a model have in common: which model, how a verdict is read, what a prompt shows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from instar.acquire.feedback.fence import WARNING, fenced, mark_for, plain
from instar.protocols import Model, Models
from instar.records import Message, Role, Task

COMMENT = 1_000
"""Characters kept of a critique."""
SYSTEM = "You are a careful and strict judge. You judge only what is asked and end with the line you are asked for."


def judge_of(models: Models) -> Model:
    """The policy that judges: the one bound as "judge" (``judge_model``), else the one at hand judges itself."""
    return models["judge"] if "judge" in models else models["self"]


def reference_of(task: Task) -> str | None:
    """The gold answer, where the task has one."""
    gold = task.private.get("answer")
    return None if gold is None or not str(gold).strip() else str(gold)


def prompt(
    task: Task, shown: Sequence[tuple[str, str]], request: str, *, reference: str | None, protect: bool
) -> tuple[Message, ...]:
    """A judge's prompt: the question, the reference if there is one, the answers (label and text), then the request.

    The request stands *after* the material: what is said last is what is asked.
    """
    parts = [("question", task.question)]
    parts += [("reference", reference)] if reference is not None else []
    parts += list(shown)
    if protect:
        mark = mark_for(*(text for _, text in parts))
        body = "\n\n".join([WARNING.format(mark=mark), *(fenced(label, text, mark) for label, text in parts)])
    else:
        body = "\n".join(plain(label, text) for label, text in parts)
    return (
        Message(role=Role.system, content=SYSTEM),
        Message(role=Role.user, content=f"{body}\n\n{request}"),
    )


def verdict(reply: str, word: str, allowed: str) -> str | None:
    """What a judgement says on its last line ("Score: 3"), or None when it does not say it exactly once and there.

    ``allowed`` is a pattern of the value. Strict on purpose: a judge that quotes a score out of the answer, or gives
    two, has given none. "Score: 3/5" is read as 3.
    """
    line = re.compile(rf"\**{word}\**:\**[ \t]*({allowed})(?:[ ]?/[ ]?\d+)?\**\.?", re.IGNORECASE)
    lines = [x.strip() for x in reply.strip().splitlines() if x.strip()]
    said = [m.group(1) for m in map(line.fullmatch, lines) if m]
    if not lines or len(said) != 1 or line.fullmatch(lines[-1]) is None:
        return None
    return said[0]


def critique(reply: str) -> str:
    """What a judgement says before its verdict, as far as it is kept."""
    return "\n".join(reply.strip().splitlines()[:-1]).strip()[:COMMENT]
