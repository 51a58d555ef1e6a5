"""From a model's replies to solutions of a task: the one place where what was said becomes a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instar.errors import EngineError
from instar.protocols import Model
from instar.records import Finish, Learn, Message, Reply, Sampling, Solution, Strategy, Task, Turn


async def replies_of(model: Model, messages: Sequence[Message], sampling: Sampling, n: int = 1) -> list[Reply]:
    """``n`` replies of one ask. Raises EngineError if there are more or fewer: a gap would change a denominator."""
    replies = await model.ask(messages, n=n, sampling=sampling)
    if len(replies) != n:
        raise EngineError(
            f"Asked for {n} replies and got {len(replies)}.", "The engine is at fault: it must give all or fail."
        )
    return replies


def turn_of(reply: Reply, end: int | None = None, *, learn: Learn = Learn.as_asked, **more: Any) -> Turn:
    """The turn that a reply is, or that its first ``end`` characters are: it knows where it was said. ``more`` sets or
    replaces fields."""
    chars = None if end is None or end >= len(reply.text) else end
    said = None if reply.said is None else reply.said.model_copy(update={"chars": chars, "learn": learn})
    ids = reply.token_ids if chars is None else None
    return Turn(**{"text": reply.text[:chars], "token_ids": ids, "said": said, **more})


def solution_of(task: Task, reply: Reply, sampling: Sampling, **more: Any) -> Solution:
    """The solution that a reply is: one turn with its token ids, and who gave it. ``more`` sets or replaces fields."""
    said = {
        "turns": (turn_of(reply),),
        "policy": reply.policy,
        "engine": reply.engine,
        "precision": reply.precision,
        "finish": reply.finish,
        "prompt_tokens": reply.prompt_tokens,
        "tokens": reply.tokens,
    }
    return Solution(task=task.id, sampling=sampling, **{**said, **more})


def trajectory_of(
    task: Task, turns: Sequence[Turn], replies: Sequence[Reply], sampling: Sampling, *, over: bool, **more: Any
) -> Solution:
    """The solution that several asks led to: its turns with what was seen between them. ``over``: it came to an end of
    its own, and was not cut at its most turns. ``more`` sets or replaces fields."""
    said = {
        "turns": tuple(turns),
        "finish": replies[-1].finish if over else Finish.length,
        "strategy": Strategy.interactive,
        "prompt_tokens": sum(r.prompt_tokens for r in replies),
        "tokens": sum(r.tokens for r in replies),
    }
    return solution_of(task, replies[-1], sampling, **{**said, **more})
