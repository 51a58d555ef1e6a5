"""From a model's replies to solutions of a task: the one place where what was said becomes a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instar.errors import EngineError
from instar.protocols import Model
from instar.records import Message, Reply, Sampling, Solution, Task, Turn


async def replies_of(model: Model, messages: Sequence[Message], sampling: Sampling, n: int = 1) -> list[Reply]:
    """``n`` replies of one ask. Raises EngineError if there are more or fewer: a gap would change a denominator."""
    replies = await model.ask(messages, n=n, sampling=sampling)
    if len(replies) != n:
        raise EngineError(
            f"Asked for {n} replies and got {len(replies)}.", "The engine is at fault: it must give all or fail."
        )
    return replies


def solution_of(task: Task, reply: Reply, sampling: Sampling, **more: Any) -> Solution:
    """The solution that a reply is: one turn with its token ids, and who gave it. ``more`` sets or replaces fields."""
    said = {
        "turns": (Turn(text=reply.text, token_ids=reply.token_ids),),
        "policy": reply.policy,
        "engine": reply.engine,
        "precision": reply.precision,
        "finish": reply.finish,
        "prompt_tokens": reply.prompt_tokens,
        "tokens": reply.tokens,
    }
    return Solution(task=task.id, sampling=sampling, **{**said, **more})
