"""What one who knows nothing gets in an environment: the floor that every score stands on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from instar.acquire.environments.playing import Spoiled, played
from instar.protocols import Environment, Moved
from instar.records import Task


async def floor(
    environment: Environment, tasks: Sequence[Task], *, turns: int = 10, seconds: float = 10.0, seed: int = 0
) -> float | None:
    """The mean score of actions drawn at random from the environment's ``choices``, an episode a task; None where it
    names no choices, or no episode could be played. Every call draws the same."""
    scores: list[float] = []
    for task in tasks:
        luck = random.Random(f"floor|{seed}|{task.canonical}")
        choices = environment.choices(task.private)
        if not choices:
            return None
        try:
            moves = await played(environment, task.private, luck.choices(choices, k=turns), (), seconds)
        except Spoiled:
            continue
        scores.append(scored(moves))
    return sum(scores) / len(scores) if scores else None


async def best_constant(
    environment: Environment, tasks: Sequence[Task], *, most: int = 100, seconds: float = 10.0
) -> tuple[str, float] | None:
    """The one action that does best in these tasks where it is the whole of every episode, and its mean score: what a
    habit is worth. Tried are the first ``most`` of all that the tasks' ``choices`` name; None where they name none."""
    actions = dict.fromkeys(a for task in tasks for a in environment.choices(task.private))
    best: tuple[str, float] | None = None
    for action in list(actions)[:most]:
        total = 0.0
        for task in tasks:
            try:
                total += scored(await played(environment, task.private, [action], (), seconds))
            except Spoiled:
                continue
        if best is None or total / len(tasks) > best[1]:
            best = action, total / len(tasks)
    return best


def scored(moves: Sequence[Moved]) -> float:
    """The score of an episode: the last that was said, 0 where none was."""
    return next((m.score for m in reversed(moves) if m.score is not None), 0.0)
