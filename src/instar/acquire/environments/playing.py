"""Episodes, played in a process that can be killed: what a user's environment does to it is a reason, not an error.

An episode is played from its beginning each time, with all actions so far: nothing has to stay alive between two model
calls, a run that is resumed goes on where it was, and an environment that answers the same actions otherwise is found
out at its next step.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instar.acquire.feedback.pool import Done, shared
from instar.legible import said, storable
from instar.protocols import Environment, Moved

LONGEST = 1_000
"""Characters of an observation that a model is shown."""
FLOOD = 100_000
"""Characters of an observation beyond which an episode is over."""
LONGEST_ACTION = 2_000


class Spoiled(Exception):
    """An episode that cannot go on; the message says why."""


async def played(
    environment: Environment, private: Mapping[str, Any], actions: Sequence[str], known: Sequence[str], seconds: float
) -> list[Moved]:
    """What is seen first, and what comes of each action. ``known`` are the observations that there have been.

    Raises Spoiled: the environment hung, died, raised, said too much, or answers otherwise than it did.
    """
    made = await environment.elsewhere(private, actions, seconds)
    if made is None:
        made = await _in_the_pool(environment, private, actions, seconds)
    if [m.observation for m in made][: len(known)] != list(known):
        raise Spoiled("the environment answers the same actions otherwise than it did")
    return list(made)


async def _in_the_pool(
    environment: Environment, private: Mapping[str, Any], actions: Sequence[str], seconds: float
) -> list[Moved]:
    kind = type(environment)
    where = (kind.__module__, _file(kind), kind.__qualname__)
    result = await shared().run(
        play, where, environment.model_dump_json(), dict(private), list(actions), seconds=seconds
    )
    if not isinstance(result, Done):
        raise Spoiled(result.reason.replace("the checking process", "the environment's process"))
    moves, why = result.value
    if why:
        raise Spoiled(why)
    return [Moved(*m) for m in moves]


def play(
    where: tuple[str, str | None, str], fields: str, private: Mapping[str, Any], actions: Sequence[str]
) -> tuple[list[tuple[str, bool, float | None]], str]:
    """In the worker: the moves of an episode, and why it could not go on, if it could not."""
    moves: list[tuple[str, bool, float | None]] = []
    doing = "begin"
    try:
        episode = _class(*where).model_validate_json(fields).episode()
        doing = "reset"
        moves.append((_observed(episode.reset(private)), False, None))
        for action in actions:
            if moves[-1][1]:
                break
            doing = "step"
            moves.append(_moved(episode.step(action[:LONGEST_ACTION])))
    except Spoiled as e:
        return moves, str(e)
    except (Exception, SystemExit) as e:
        return moves, f"the environment's {doing} raised {type(e).__name__}: {said(e):.200}"
    return moves, ""


def _moved(given: Any) -> Moved:
    """What a step gave, checked. A text is no move, though Python would take "no" for the two parts of one."""
    if not isinstance(given, (tuple, list)) or not 1 <= len(given) <= 3:
        what = f"{type(given).__name__} of {len(given)}" if isinstance(given, (tuple, list)) else type(given).__name__
        raise Spoiled(f"the environment's step gave a {what}, not Moved(observation, done, score)")
    return checked(*Moved(*given))


def checked(observation: Any, done: Any, score: Any) -> Moved:
    """A move as it may be shown and stored. Raises Spoiled for what is no text, too long, or no score."""
    return Moved(_observed(observation), bool(done), _score(score))


def _observed(text: Any) -> str:
    if not isinstance(text, str):
        raise Spoiled(f"the environment's observation is a {type(text).__name__}, not a text")
    if len(text) > FLOOD:
        raise Spoiled(f"the environment's observation has {len(text):,} characters")
    text = storable(str.__str__(text))  # of no class of its own, as of an enumeration: it leaves the process
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _score(score: Any) -> float | None:
    if score is None:
        return None
    if (
        isinstance(score, bool)
        or not isinstance(score, numbers.Real)  # numpy's too
        or not math.isfinite(score)
        or not 0 <= float(score) <= 1
    ):
        raise Spoiled(f"the environment's score is {score!r:.40}, not a number from 0 to 1")
    return float(score)


def _file(kind: type) -> str | None:
    try:
        return str(Path(inspect.getfile(kind)).resolve())
    except (OSError, TypeError):
        return None


def _class(module: str, file: str | None, name: str) -> type[Environment]:
    """The class of an environment: of an installed module, else of the file that it is in."""
    found: Any
    try:
        found = importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(module, file) if file else None
        if spec is None or spec.loader is None:
            raise
        found = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    for part in name.split("."):
        found = getattr(found, part)
    kind: type[Environment] = found
    return kind
